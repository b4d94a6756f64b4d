//! The end of the load: clients stay open until the last call in flight has its reply.
use super::*;

/// Clients whose calls last longer, the larger the number of their process; each counts the calls in flight when it is closed.
#[derive(Clone, Default)]
struct Slow {
    process: u64,
    in_flight: Arc<AtomicU64>,
    /// The calls in flight at each close.
    at_close: Arc<Mutex<Vec<u64>>>,
}

impl Connect for Slow {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        let client: Box<dyn Client> = Box::new(Slow { process: endpoint.process, ..self.clone() });
        Box::pin(async { Ok(client) })
    }
}

impl Client for Slow {
    fn call<'a>(&'a mut self, _: &'a Call, _: Terms) -> BoxFuture<'a, CallResponse> {
        Box::pin(async {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1 + self.process * 150)).await;
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            CallResult::Ok(Value::Nil).into()
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        let in_flight = self.in_flight.load(Ordering::SeqCst);
        self.at_close.lock().expect("no panic inside").push(in_flight);
        Box::pin(async {})
    }
}

/// What a client holds is free when it is closed. A call in flight that gets it then would be taken for a second holder.
#[tokio::test(start_paused = true)]
async fn no_client_is_closed_while_a_call_is_in_flight() {
    let (bench, slow) = (Bench::new(), Slow::default());
    let limits = DriverOptions { time: Duration::from_millis(200), ..options(4) };
    bench.load(slow.clone(), vec![register()], limits).await;
    assert_eq!(*slow.at_close.lock().expect("no panic inside"), [0; 4]);
}
