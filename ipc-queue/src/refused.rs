//! Why nothing was put or got, before it is known how long somebody was ready to wait.

use ipc_core::Error;

use crate::core::Patient;
use crate::error::{GetError, GetTimeoutError, PutError, PutTimeoutError, TryGetError, TryPutError};

/// Why nothing was put.
#[derive(Debug)]
pub(crate) enum PutRefused {
    Full,
    TimedOut,
    Closed,
    Fault(Error),
}

/// Why nothing was got.
#[derive(Debug)]
pub(crate) enum GetRefused {
    Empty,
    TimedOut,
    Closed,
    Fault(Error),
}

impl From<Error> for GetRefused {
    fn from(error: Error) -> GetRefused {
        GetRefused::Fault(error)
    }
}

impl PutRefused {
    /// There was no room in time.
    pub(crate) fn late(patient: Patient) -> PutRefused {
        if matches!(patient, Patient::Not) { PutRefused::Full } else { PutRefused::TimedOut }
    }

    pub(crate) fn put<T>(self, value: T) -> PutError<T> {
        match self {
            PutRefused::Fault(error) => PutError::Fault(value, error),
            // It was ready to wait for ever.
            _ => PutError::Closed(value),
        }
    }

    pub(crate) fn try_put<T>(self, value: T) -> TryPutError<T> {
        match self {
            PutRefused::Fault(error) => TryPutError::Fault(value, error),
            PutRefused::Closed => TryPutError::Closed(value),
            PutRefused::Full | PutRefused::TimedOut => TryPutError::Full(value),
        }
    }

    pub(crate) fn put_timeout<T>(self, value: T) -> PutTimeoutError<T> {
        match self {
            PutRefused::Fault(error) => PutTimeoutError::Fault(value, error),
            PutRefused::Closed => PutTimeoutError::Closed(value),
            PutRefused::Full | PutRefused::TimedOut => PutTimeoutError::Timeout(value),
        }
    }
}

impl GetRefused {
    /// There was nothing in time.
    pub(crate) fn late(patient: Patient) -> GetRefused {
        if matches!(patient, Patient::Not) { GetRefused::Empty } else { GetRefused::TimedOut }
    }

    pub(crate) fn get(self) -> GetError {
        match self {
            GetRefused::Fault(error) => GetError::Fault(error),
            _ => GetError::Closed,
        }
    }

    pub(crate) fn try_get(self) -> TryGetError {
        match self {
            GetRefused::Fault(error) => TryGetError::Fault(error),
            GetRefused::Closed => TryGetError::Closed,
            GetRefused::Empty | GetRefused::TimedOut => TryGetError::Empty,
        }
    }

    pub(crate) fn get_timeout(self) -> GetTimeoutError {
        match self {
            GetRefused::Fault(error) => GetTimeoutError::Fault(error),
            GetRefused::Closed => GetTimeoutError::Closed,
            GetRefused::Empty | GetRefused::TimedOut => GetTimeoutError::Timeout,
        }
    }
}
