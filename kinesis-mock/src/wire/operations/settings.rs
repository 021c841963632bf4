//! The operations that change what a stream keeps and takes.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use crate::account::Phase;
use crate::wire::refusal::Refusal;
use crate::wire::target::Target;
use crate::wire::validation;
use crate::{Account, MemoryStream};

/// The shortest and longest retention in hours: a day and a year (API reference of `IncreaseStreamRetentionPeriod`).
const RETENTION: (i64, i64) = (24, 8760);
/// What `MaxRecordSizeInKiB` may be (API reference of `UpdateMaxRecordSize`).
const RECORD_KIB: RangeInclusive<usize> = 1024..=10_240;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct ChangeRetention {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    retention_period_hours: Option<i64>,
}

/// Keeps records for longer.
pub(in crate::wire) fn increase_stream_retention_period(
    account: &Account,
    request: &ChangeRetention,
) -> Result<(), Refusal> {
    change_retention(account, request, |now, asked| match asked < now {
        true => Some(("shorter", "DecreaseStreamRetentionPeriod")),
        false => None,
    })
}

/// Keeps records for less long; what is older is gone at once.
pub(in crate::wire) fn decrease_stream_retention_period(
    account: &Account,
    request: &ChangeRetention,
) -> Result<(), Refusal> {
    change_retention(account, request, |now, asked| match asked > now {
        true => Some(("longer", "IncreaseStreamRetentionPeriod")),
        false => None,
    })
}

fn change_retention(
    account: &Account,
    request: &ChangeRetention,
    wrong_way: impl FnOnce(u64, u64) -> Option<(&'static str, &'static str)>,
) -> Result<(), Refusal> {
    let hours = validation::required("retentionPeriodHours", request.retention_period_hours)?;
    let stream = Target::new(&request.stream_name, &request.stream_arn).active(account)?.stream;
    let (least, most) = RETENTION;
    let bound = match hours {
        short if short < least => Some(("Minimum", least, "short")),
        long if long > most => Some(("Maximum", most, "long")),
        _ => None,
    };
    if let Some((which, bound, too)) = bound {
        return Err(Refusal::invalid_argument(format!(
            "{which} allowed retention period is {bound} hours. Requested retention period ({hours} hours) is too {too}."
        )));
    }
    let hours = hours.unsigned_abs();
    let now = stream.settings().retention.as_secs() / 3600;
    if let Some((than, other)) = wrong_way(now, hours) {
        return Err(Refusal::invalid_argument(format!(
            "Requested retention period ({hours} hours) for stream {} can not be {than} than existing retention period \
             ({now} hours). Use {other} API.",
            stream.id().name
        )));
    }
    stream.set_retention(Duration::from_secs(hours * 3600));
    updating(account, &stream);
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::wire) struct UpdateMaxRecordSize {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
}

/// Takes larger or smaller records from now on.
pub(in crate::wire) fn update_max_record_size(account: &Account, request: &UpdateMaxRecordSize) -> Result<(), Refusal> {
    let size = validation::required("maxRecordSizeInKiB", record_size(request.max_record_size_in_kib)?)?;
    let stream = Target::new(&request.stream_name, &request.stream_arn).active(account)?.stream;
    stream.set_max_record_size(size);
    updating(account, &stream);
    Ok(())
}

/// The bytes of a `MaxRecordSizeInKiB`.
pub(super) fn record_size(kib: Option<i64>) -> Result<Option<usize>, Refusal> {
    let size = validation::within("maxRecordSizeInKiB", kib, RECORD_KIB, 0)?;
    Ok((size > 0).then_some(size * 1024))
}

/// The stream takes its time, although the change is made.
pub(super) fn updating(account: &Account, stream: &MemoryStream) {
    account.enter(&stream.id().name, |until| Phase::Updating { until });
}
