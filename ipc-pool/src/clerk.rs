//! The thread that takes the workers' reports.

use std::ops::Range;
use std::sync::Arc;

use ipc_core::codec;

use crate::desk::Desk;
use crate::error::PoolError;
use crate::wire::Report;

/// So many reports are taken at once.
const BATCH: usize = 64;

/// Takes reports until the pool is over.
pub(crate) fn take_reports(desk: &Arc<Desk>) {
    let mut buffer = Vec::new();
    let mut parts: Vec<Range<usize>> = Vec::new();
    loop {
        buffer.clear();
        parts.clear();
        let got = desk.reports.get_many_bytes(BATCH, |bytes| {
            let start = buffer.len();
            buffer.resize(start + bytes.len(), 0);
            bytes.read_at(0, &mut buffer[start..]);
            parts.push(start..buffer.len());
        });
        let mut state = desk.lock();
        if let Err(error) = got {
            // Somebody has spoilt the queue. Nothing can be known of the workers any more.
            state.fail(PoolError::Start(error.to_string()));
            state.forget_all();
        }
        for part in &parts {
            // What cannot be read is of nobody.
            if let Ok((report, results)) = codec::decode::<Report>(&buffer[part.clone()]) {
                let start = part.end - results.len();
                state.hear(report.place, report.generation, report.what, start..part.end);
            }
        }
        state.go_on();
        let is_over = state.is_over();
        let is_news = std::mem::take(&mut state.is_news);
        desk.let_go(state, &buffer);
        if is_over {
            desk.lock().is_finished = true;
        }
        if is_news || is_over {
            desk.notify();
        }
        if is_over {
            return;
        }
    }
}
