//! A body that is compressed while it is sent.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::coding::Coding;
use super::encoder::Encoder;

/// How much is compressed before other tasks run.
const YIELD_BYTES: usize = 64 << 10;

/// A body that is compressed as it is polled. Each chunk is flushed, and dropping the body drops its source, so
/// back-pressure and cancellation pass through.
pub(super) struct CompressedBody {
    source: Source,
    coding: Coding,
    state: State,
}

enum State {
    /// No encoder is allocated for a body that is never sent, as for `HEAD`.
    New,
    Encoding(Encoder),
    Ended,
}

impl CompressedBody {
    pub(super) fn of_stream(coding: Coding, stream: BoxBody) -> Self {
        Self { source: Source::Stream(stream), coding, state: State::New }
    }

    /// A buffered body that would block other tasks if it were compressed at once.
    pub(super) fn of_bytes(coding: Coding, bytes: Bytes) -> Self {
        Self { source: Source::Buffered { rest: bytes, must_yield: false }, coding, state: State::New }
    }
}

impl MessageBody for CompressedBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        loop {
            let encoder = match &mut this.state {
                State::New => {
                    this.state = State::Encoding(Encoder::new(this.coding)?);
                    continue;
                }
                State::Encoding(encoder) => encoder,
                State::Ended => return Poll::Ready(None),
            };
            let output = match ready!(this.source.poll_next(context)) {
                // An aborted body gets no end, since it would look complete.
                Some(chunk) => encoder.encode(&chunk?)?,
                None => match std::mem::replace(&mut this.state, State::Ended) {
                    State::Encoding(encoder) => encoder.finish()?,
                    State::New | State::Ended => Vec::new(),
                },
            };
            // An empty chunk would end the body.
            if !output.is_empty() {
                return Poll::Ready(Some(Ok(output.into())));
            }
        }
    }
}

enum Source {
    Stream(BoxBody),
    Buffered { rest: Bytes, must_yield: bool },
}

impl Source {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Box<dyn Error>>>> {
        match self {
            Self::Stream(stream) => Pin::new(stream).poll_next(context),
            Self::Buffered { rest, .. } if rest.is_empty() => Poll::Ready(None),
            Self::Buffered { must_yield, .. } if *must_yield => {
                *must_yield = false;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Buffered { rest, must_yield } => {
                *must_yield = true;
                let chunk = rest.split_to(rest.len().min(YIELD_BYTES));
                Poll::Ready(Some(Ok(chunk)))
            }
        }
    }
}
