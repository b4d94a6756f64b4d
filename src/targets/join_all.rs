//! Several futures in parallel, in one task: actions on all nodes take the time of the slowest, not the sum.
use dsfuzz_workloads::BoxFuture;
use std::future::poll_fn;
use std::task::Poll;

/// Drives all futures to their end. Returns the results in the order of the futures.
pub(crate) async fn join_all<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut running: Vec<_> = futures.into_iter().enumerate().collect();
    poll_fn(|context| {
        running.retain_mut(|(position, future)| match future.as_mut().poll(context) {
            Poll::Ready(result) => {
                results[*position] = Some(result);
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}
