//! Queues as lists: elements enter on the left and leave on the right. With `queue: move` an element is moved to a second list,
//! and removed from there before the answer, so that a client that dies in between loses none.
use crate::client::RedisClient;
use crate::replies::{argument, integer, integers};
use crate::settings::QueueMethod;
use dsfuzz_client::{Call, CallError, Reply};
use redis::{Value, cmd};
use serde_json::Value as Json;

/// The list of elements that were taken and not yet removed.
const TAKEN: &str = ":taken";

impl RedisClient {
    pub(crate) async fn enqueue(&mut self, call: &Call) -> Result<Reply, CallError> {
        let command = cmd("LPUSH").arg(self.key(&call.key, "")).arg(argument(&call.value)?).take();
        let (_, via) = self.write(call, command).await?;
        Ok(self.reply(Json::Null, &via))
    }

    pub(crate) async fn dequeue(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (queue, taken) = (self.key(&call.key, ""), self.key(&call.key, TAKEN));
        let take = match self.settings.queue {
            QueueMethod::Pop => cmd("RPOP").arg(&queue).take(),
            QueueMethod::Move => cmd("RPOPLPUSH").arg(&queue).arg(&taken).take(),
        };
        let (replies, via) = self.nodes.send(&[take]).await?;
        let reply = crate::connection::checked(replies.into_iter().next().unwrap_or(Value::Nil))?;
        if reply == Value::Nil {
            return Err(CallError::fail("empty", "the queue is empty"));
        }
        let element = integer(&reply)?;
        // The element was handed out, whatever becomes of what follows.
        let known = |error: CallError| CallError { certain: false, ..error }.with_value(element);
        if self.settings.queue == QueueMethod::Move {
            let remove = cmd("LREM").arg(&taken).arg(1).arg(element).take();
            let replies = self.nodes.send_to(&via, &[remove]).await.map_err(known)?;
            crate::connection::checked(replies.into_iter().next().unwrap_or(Value::Nil)).map_err(known)?;
        }
        self.replicated(call, &via).await.map_err(known)?;
        Ok(self.reply(element, &via))
    }

    /// Takes all that is there in one transaction, also what was taken and not removed.
    pub(crate) async fn drain(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (queue, taken) = (self.key(&call.key, ""), self.key(&call.key, TAKEN));
        let all = |list: &str| cmd("LRANGE").arg(list).arg(0).arg(-1).take();
        let commands = [all(&taken), all(&queue), cmd("DEL").arg(&queue).arg(&taken).take()];
        let (replies, via) = self.transaction(&commands).await?;
        let mut elements = Vec::new();
        for reply in replies {
            match crate::connection::checked(reply)? {
                // How many lists there were.
                Value::Int(_) => {}
                // The right end leaves first.
                list => elements.extend(integers(&list)?.into_iter().rev()),
            }
        }
        self.replicated(call, &via).await.map_err(|error| error.with_value(elements.clone()))?;
        Ok(self.reply(elements, &via))
    }
}
