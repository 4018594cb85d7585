//! What the verbs refuse with. A value that was not taken is inside.

use ipc_core::refusals;

refusals! {
    /// A `put` was refused.
    PutError<T> {
        /// The queue was closed, or there is nobody left to get anything.
        Closed(T) => "the queue is closed, or nobody is left to get from it",
    }

    /// A `try_put` was refused.
    #[doc(alias = "queue.Full")]
    TryPutError<T> {
        /// There are as many items as the queue can hold.
        Full(T) => "the queue is full",
        /// The queue was closed, or there is nobody left to get anything.
        Closed(T) => "the queue is closed, or nobody is left to get from it",
    }

    /// A `put_timeout` or `put_deadline` was refused.
    #[doc(alias = "queue.Full")]
    PutTimeoutError<T> {
        /// The queue was full all the time.
        Timeout(T) => "the queue was full all the time",
        /// The queue was closed, or there is nobody left to get anything.
        Closed(T) => "the queue is closed, or nobody is left to get from it",
    }

    /// A `get` has nothing.
    GetError {
        /// Nothing is left, and nothing will come: the queue was closed, or there is nobody left to put anything.
        Closed => "the queue is empty, and nothing will come: it is closed, or nobody is left to put",
    }

    /// A `try_get` has nothing.
    #[doc(alias = "queue.Empty")]
    TryGetError {
        /// There is nothing now.
        Empty => "the queue is empty",
        /// Nothing is left, and nothing will come: the queue was closed, or there is nobody left to put anything.
        Closed => "the queue is empty, and nothing will come: it is closed, or nobody is left to put",
    }

    /// A `get_timeout` or `get_deadline` has nothing.
    #[doc(alias = "queue.Empty")]
    GetTimeoutError {
        /// The queue was empty all the time.
        Timeout => "the queue was empty all the time",
        /// Nothing is left, and nothing will come: the queue was closed, or there is nobody left to put anything.
        Closed => "the queue is empty, and nothing will come: it is closed, or nobody is left to put",
    }
}

refusals!(@inner PutError Closed);
refusals!(@inner TryPutError Full Closed);
refusals!(@inner PutTimeoutError Timeout Closed);
