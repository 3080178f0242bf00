//! Permits, which callers hold while PostgreSQL works for them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A permit to run a statement, such as one of a semaphore. The runner drops it when the statement has ended in the
/// database, which may be later than the call that started it. Clones share one permit, and dropping the last one
/// releases it.
#[derive(Clone, Default)]
pub struct Permit(Option<Arc<dyn Any + Send + Sync>>);

impl Permit {
    /// Makes a permit that holds `held` until the last clone is dropped. [`Permit::default`] holds nothing.
    #[must_use]
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(held)))
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Permit").field(&self.0.as_ref().map(Arc::strong_count)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_clone_releases_the_permit() {
        let held = Arc::new(());
        let permit = Permit::new(Arc::clone(&held));
        let clone = permit.clone();
        drop(permit);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(clone);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
