//! One call of `GetRecords`, read the fast way or the plain way.

use std::time::SystemTime;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use kinesis_core::{Error, Result, ShardId};

use crate::answer::Answer;
use crate::fast::Refused;
use crate::fast::tee::Tee;
use crate::served_at::ServedAt;
use crate::target::Target;
use crate::whole::Whole;
use crate::{WireFormat, convert};

/// An answer, and when the service gave it.
type Answered = (Answer, Option<SystemTime>);

/// What all readers of a stream that poll share.
#[derive(Debug)]
pub(crate) struct Polling {
    pub(crate) client: Client,
    pub(crate) target: Target,
    pub(crate) fast: bool,
    pub(crate) wire_format: WireFormat,
    /// Whether other readers of the source are pushed to, so that the pipeline does not pace it.
    pub(crate) beside_fan_out: bool,
}

impl Polling {
    /// Asks once. The outer error is a call that failed, the inner one an answer that makes no sense. What the fast read
    /// does not understand is asked for again the plain way, and `plain` set: so it is from then on.
    pub(crate) async fn ask(
        &self,
        shard: &ShardId,
        iterator: &str,
        limit: i32,
        plain: &mut bool,
    ) -> std::result::Result<Result<Answered>, SdkError<GetRecordsError>> {
        let served_at = ServedAt::default();
        let request = || {
            let request = self.client.get_records().set_stream_arn(self.target.call_arn());
            request.shard_iterator(iterator).limit(limit).customize().interceptor(served_at.clone())
        };
        if self.fast && !*plain {
            let tee = Tee::default();
            request().interceptor(tee.interceptor(self.wire_format)).send().await?;
            match tee.take() {
                Some(Ok(answer)) => return Ok(Ok((answer, served_at.get()))),
                Some(Err(Refused::Cut | Refused::Hollow)) | None => {
                    return Ok(Err(Error::transient("GetRecords was answered with a part of an answer")));
                }
                Some(Err(refused)) => {
                    *plain = true;
                    let stream = self.target.name();
                    tracing::warn!(%stream, %shard, %refused, "the SDK reads this shard from now on, which takes longer");
                }
            }
        }
        let output = request().interceptor(Whole).send().await?;
        Ok(convert::answer(output).map(|answer| (answer, served_at.get())))
    }
}
