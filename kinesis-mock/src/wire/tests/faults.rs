//! What goes wrong because a script says so.

use super::*;

#[tokio::test(start_paused = true)]
async fn scripted_answers_come_in_turn_and_then_the_stream_again() {
    let stream = MemoryStream::new("orders", 1);
    let http = http_client(&stream);
    let client = sdk(&http);
    let late = Answer::Delay(Duration::from_secs(2));
    http.script(
        "PutRecord",
        [Answer::fail("InternalFailure"), Answer::Drop, Answer::DropReply, Answer::Hang, late, Answer::Serve],
    );
    let mut outcomes = Vec::new();
    for _ in 0..7 {
        let put = client.put_record().stream_name("orders").partition_key("key").data(Blob::new("x"));
        outcomes.push(match put.send().await {
            Ok(_) => "ok",
            Err(SdkError::ServiceError(_)) => "service",
            Err(SdkError::DispatchFailure(_)) => "dispatch",
            Err(SdkError::TimeoutError(_)) => "timeout",
            Err(error) => panic!("{}", DisplayErrorContext(error)),
        });
    }
    assert_eq!(outcomes, ["service", "dispatch", "dispatch", "timeout", "ok", "ok", "ok"]);
    assert_eq!(http.calls("PutRecord"), 7);
    let read = read(&client, &iterator(&client, &first_shard(&stream), From::TrimHorizon).await, 10).await;
    assert_eq!(read.records().len(), 4, "one reply was lost after its record was put");
}

#[tokio::test(start_paused = true)]
async fn errors_of_any_code_are_told_as_the_service_would() {
    let stream = MemoryStream::new("orders", 1);
    let http = http_client(&stream);
    let client = sdk(&http);
    let codes = [
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "KMSOptInRequired",
        "KMSThrottlingException",
        "ExpiredTokenException",
        "AccessDeniedException",
        "ProvisionedThroughputExceededException",
        "InternalFailure",
    ];
    http.script("GetRecords", codes.map(Answer::fail));
    let iterator = iterator(&client, &first_shard(&stream), From::Latest).await;
    for expected in codes {
        assert_eq!(code(client.get_records().shard_iterator(&iterator).send().await), expected);
    }
    read(&client, &iterator, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_or_stands_still_is_no_answer_and_loses_nothing() {
    let stream = MemoryStream::new("orders", 1);
    stream.put("key", "x").unwrap();
    let http = http_client(&stream);
    let client = sdk(&http);
    let iterator = iterator(&client, &first_shard(&stream), From::TrimHorizon).await;
    http.script("GetRecords", [0, 1, 100].map(Answer::Cut));
    http.script("GetRecords", [0, 100].map(Answer::Stall));
    for cut in 0..5 {
        let error = client.get_records().shard_iterator(&iterator).send().await.unwrap_err();
        match error {
            SdkError::ResponseError(_) | SdkError::DispatchFailure(_) if cut < 3 => {}
            SdkError::TimeoutError(_) if cut >= 3 => {}
            error => panic!("answer {cut}: {}", DisplayErrorContext(error)),
        }
    }
    assert_eq!(texts(&read(&client, &iterator, 1).await), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_and_an_empty_page_can_be_scripted() {
    let stream = MemoryStream::new("orders", 1);
    stream.put("key", "x").unwrap();
    let http = http_client(&stream);
    http.add_rules(
        Rule::list_from_json(
            r#"[{"operation": "GetRecords", "nth": 1, "fault": "http", "status": 502, "body": "<html>"},
                {"operation": "GetRecords", "nth": 2, "fault": "empty"}]"#,
        )
        .unwrap(),
    );
    let client = sdk(&http);
    let iterator = iterator(&client, &first_shard(&stream), From::TrimHorizon).await;
    let error = client.get_records().shard_iterator(&iterator).send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 502);
    let empty = read(&client, &iterator, 10).await;
    assert!(empty.records().is_empty() && empty.millis_behind_latest.unwrap() > 0);
    assert_eq!(texts(&read(&client, empty.next_shard_iterator().unwrap(), 10).await), ["x"]);
}
