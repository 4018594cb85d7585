//! One task: how it is to run, and what becomes of its result.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ipc_process::Function;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clerk::OnDuty;
use crate::desk::Desk;
use crate::entry;
use crate::error::{Refusal, Refused, TaskError};
use crate::pack::{Packed, pack};
use crate::result::{AsyncResult, Callback, Slot};
use crate::task::{CallInfo, Sink, Terms};

/// One task to be: see [`Pool::call`](crate::Pool::call).
#[must_use = "a Call runs nothing by itself"]
pub struct Call<'p, F: Function<Args>, Args> {
    desk: &'p Arc<Desk>,
    args: Args,
    terms: Terms,
    callback: Callback<F::Output>,
}

impl<'p, F, Args> Call<'p, F, Args>
where
    F: Function<Args, Output: Serialize + DeserializeOwned + Send + 'static>,
    Args: Serialize + DeserializeOwned + 'static,
{
    pub(crate) fn new(desk: &'p Arc<Desk>, args: Args) -> Call<'p, F, Args> {
        Call { desk, args, terms: desk.terms(), callback: Callback::NONE }
    }

    /// How long it may run: see [`Builder::timeout`](crate::Builder::timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = Some(timeout);
        self
    }

    /// How often it is begun anew if its worker dies: see [`Builder::retries`](crate::Builder::retries).
    pub fn retries(mut self, retries: u32) -> Self {
        self.terms.retries = retries;
        self
    }

    /// Called with the result when it is there, in a thread of this process that runs all callbacks of the pool, one
    /// after the other. The result is ready when the callback has returned. If it panics, that is the result:
    /// [`TaskError::Callback`].
    pub fn callback(mut self, callback: impl FnOnce(&F::Output) + Send + 'static) -> Self {
        self.callback.result = Some(Box::new(callback));
        self
    }

    /// Called with the error if there is no result: see [`callback`](Call::callback).
    pub fn error_callback(mut self, callback: impl FnOnce(&TaskError) + Send + 'static) -> Self {
        self.callback.error = Some(Box::new(callback));
        self
    }

    /// Runs it, and waits for its result.
    ///
    /// # Errors
    /// As [`Pool::apply`](crate::Pool::apply).
    pub fn apply(self) -> Result<F::Output, TaskError> {
        let (result, on_duty) = self.give(true).map_err(|refused| TaskError::from(refused.refusal))?;
        if let Some(on_duty) = on_duty {
            on_duty.take_until_delivered(&result);
        }
        result.get()
    }

    /// Has it run.
    ///
    /// # Errors
    /// As [`Pool::apply_async`](crate::Pool::apply_async).
    pub fn apply_async(self) -> Result<AsyncResult<F::Output>, Refused<Args>> {
        self.give(false).map(|(result, _)| result)
    }

    /// Gives it to the pool; and takes reports from just before that on, if that is wanted and nobody else does.
    #[expect(clippy::type_complexity, reason = "a name for it would say less")]
    fn give(
        self,
        takes_reports: bool,
    ) -> Result<(AsyncResult<F::Output>, Option<OnDuty<'p>>), Refused<Args>> {
        let Call { desk, args, terms, callback } = self;
        let slot = Slot::new(callback);
        let sink: Arc<dyn Sink> = Arc::<Slot<F::Output>>::clone(&slot);
        let submit = || {
            let call = info::<F, Args>(terms, sink)?;
            let task = match pack(desk, &call, 0, std::slice::from_ref(&args)).pop() {
                Some(Packed::Task(task)) => task,
                Some(Packed::Failed(_, why)) => return Err(Refusal::Arguments(why)),
                None => unreachable!("an item is packed or fails"),
            };
            // The program's own code has encoded the arguments, and may have used the pool.
            let on_duty = if takes_reports { OnDuty::begin(desk) } else { None };
            desk.submit(task)?;
            Ok((call, on_duty))
        };
        match submit() {
            Ok((call, on_duty)) => Ok((AsyncResult::new(slot, call, true, desk), on_duty)),
            Err(refusal) => Err(Refused { args, refusal }),
        }
    }
}

/// What the tasks of a call have in common.
pub(crate) fn info<F, Args>(terms: Terms, sink: Arc<dyn Sink>) -> Result<Arc<CallInfo>, Refusal>
where
    F: Function<Args, Output: Serialize>,
    Args: DeserializeOwned,
{
    let function = entry::offset::<F, Args>().ok_or(Refusal::NotInProgram)?;
    Ok(CallInfo::new(function, type_name::<F>(), terms, sink))
}

impl<F: Function<Args>, Args> fmt::Debug for Call<'_, F, Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("function", &type_name::<F>()).finish_non_exhaustive()
    }
}
