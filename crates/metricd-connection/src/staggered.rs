//! Staggered connection attempts: the first success wins.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use crate::error::ConnectError;

/// Returns the first success. The attempts begin in order: each when the one before has failed, or has taken `delay`.
/// If all fail, returns the last error; that of an unreachable server takes precedence over that of a server of another
/// role. `None` if there are no attempts.
///
/// With a fallback, the attempts also fail when the last one has taken `delay`.
pub(crate) async fn first_success<T, F>(
    attempts: Vec<F>,
    delay: Duration,
    has_fallback: bool,
) -> Option<Result<T, ConnectError>>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let mut waiting = attempts.into_iter();
    let mut running = FuturesUnordered::new();
    running.push(waiting.next()?);
    let mut failure = None;
    loop {
        let may_wait = waiting.len() == 0 && !has_fallback;
        tokio::select! {
            ended = running.next() => match ended {
                Some(Ok(success)) => return Some(Ok(success)),
                Some(Err(error)) => {
                    if failure.is_none() || !matches!(error, ConnectError::OtherRole(_)) {
                        failure = Some(error);
                    }
                }
                None => return failure.map(Err),
            },
            () = sleep(delay), if !may_wait => {
                if waiting.len() == 0 {
                    return Some(Err(failure.unwrap_or_else(|| ConnectError::failed("connecting took too long"))));
                }
            }
        }
        running.extend(waiting.next());
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use tokio::time::Instant;

    use super::*;

    const DELAY: Duration = Duration::from_millis(500);

    type Attempt = Pin<Box<dyn Future<Output = Result<&'static str, ConnectError>>>>;

    fn after(millis: u64, outcome: Result<&'static str, ConnectError>) -> Attempt {
        Box::pin(async move {
            sleep(Duration::from_millis(millis)).await;
            outcome
        })
    }

    fn failed(message: &str) -> Result<&'static str, ConnectError> {
        Err(ConnectError::failed(message))
    }

    fn other_role(message: &str) -> Result<&'static str, ConnectError> {
        Err(ConnectError::OtherRole(message.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_hangs_delays_the_next_one_a_little() {
        for (attempts, expected, millis) in [
            (vec![after(400, Ok("first")), after(1, Ok("second"))], "first", 400),
            (vec![after(9_000, Ok("hangs")), after(10, Ok("second"))], "second", 510),
            (vec![after(9_000, Ok("hangs")), after(9_000, Ok("hangs")), after(10, Ok("third"))], "third", 1_010),
            (vec![after(900, Ok("slow")), after(9_000, failed("hangs"))], "slow", 900),
            (vec![after(10, failed("refuses")), after(20, other_role("standby")), after(1, Ok("third"))], "third", 31),
        ] {
            let began = Instant::now();
            let outcome = first_success(attempts, DELAY, false).await.unwrap().unwrap();
            assert_eq!((outcome, began.elapsed().as_millis()), (expected, millis));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_is_the_last_one_but_rather_not_that_of_another_role() {
        for (attempts, expected) in [
            (vec![after(1, failed("first")), after(1, failed("second"))], "second"),
            (vec![after(1, failed("unreachable")), after(1, other_role("a standby"))], "unreachable"),
            (vec![after(1, other_role("a standby")), after(1, failed("unreachable"))], "unreachable"),
            (vec![after(1, other_role("a standby"))], "a standby"),
        ] {
            let error = first_success(attempts, DELAY, false).await.unwrap().unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        assert!(first_success(Vec::<Attempt>::new(), DELAY, false).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_hang_are_given_up_if_there_is_a_fallback() {
        let began = Instant::now();
        let attempts = vec![after(1, other_role("a primary")), after(9_000, Ok("hangs"))];
        let error = first_success(attempts, DELAY, true).await.unwrap().unwrap_err();
        assert_eq!((error.to_string().as_str(), began.elapsed().as_millis()), ("a primary", 501));
        let attempts = vec![after(1, other_role("a primary")), after(400, Ok("slow"))];
        assert_eq!(first_success(attempts, DELAY, true).await.unwrap().unwrap(), "slow");
    }
}
