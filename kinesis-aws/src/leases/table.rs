//! A table before it is used: that it is there, that its keys are right, and that it answers.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription, TableStatus,
};
use kinesis_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep};

use super::calls::Table;
use crate::classify::classify_on;

/// What to do when a table is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateTable {
    /// Fail.
    #[default]
    Never,
    /// Create it, charged on demand, and wait until it is ready.
    IfMissing,
}

/// How often a table that is not ready is looked at. Creating one takes some seconds.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// The keys of a table, all of them texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) hash: &'static str,
    pub(super) range: Option<&'static str>,
}

/// Returns when the table can be used.
pub(super) async fn prepare(table: &Table, shape: &Shape, create: CreateTable) -> Result<()> {
    let started = Instant::now();
    let mut created = false;
    loop {
        match describe(table).await? {
            Some(found) => {
                check(table, shape, &found)?;
                if matches!(found.table_status, Some(TableStatus::Active | TableStatus::Updating)) {
                    return Ok(());
                }
                // One that may be created is waited for: first until it is gone.
                if matches!(found.table_status, Some(TableStatus::Deleting)) && create == CreateTable::Never {
                    return Err(Error::not_found(format!("{} is being deleted: use another one", table.place())));
                }
            }
            None if create == CreateTable::Never => {
                return Err(Error::not_found(format!(
                    "there is no {} in {}: check name and region, create it, or ask for it with \
                     create_table(CreateTable::IfMissing)",
                    table.place(),
                    table.client.config().region().map_or("no region", AsRef::as_ref)
                )));
            }
            None if !created => {
                create_it(table, shape).await?;
                created = true;
                continue;
            }
            // It is created, and not shown yet.
            None => {}
        }
        if started.elapsed() >= PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(Error::transient(format!(
                "{} is not ready after {seconds} s: look at its state with `aws dynamodb describe-table`",
                table.place()
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn describe(table: &Table) -> Result<Option<TableDescription>> {
    match table.client.describe_table().table_name(&table.name).send().await {
        Ok(output) => Ok(output.table),
        Err(SdkError::ServiceError(context)) if context.err().is_resource_not_found_exception() => Ok(None),
        Err(error) => Err(explain(table, classify_on("DescribeTable", &table.place(), error))),
    }
}

async fn create_it(table: &Table, shape: &Shape) -> Result<()> {
    let mut call = table.client.create_table().table_name(&table.name).billing_mode(BillingMode::PayPerRequest);
    let keys = [(Some(shape.hash), KeyType::Hash), (shape.range, KeyType::Range)];
    for (name, kind) in keys.into_iter().filter_map(|(name, kind)| Some((name?, kind))) {
        let invalid = |error: aws_sdk_dynamodb::error::BuildError| Error::contract("a key has a name").because(error);
        let key = KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(invalid)?;
        let text = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        call = call.key_schema(key).attribute_definitions(text.build().map_err(invalid)?);
    }
    match call.send().await {
        Ok(_) => Ok(()),
        // Another worker was faster.
        Err(SdkError::ServiceError(context)) if context.err().is_resource_in_use_exception() => Ok(()),
        Err(error) => Err(explain(table, classify_on("CreateTable", &table.place(), error))),
    }
}

fn check(table: &Table, shape: &Shape, found: &TableDescription) -> Result<()> {
    let key = |kind: &KeyType| {
        found.key_schema().iter().find(|key| key.key_type == *kind).map(|key| key.attribute_name.as_str())
    };
    let is_text = |name: &str| {
        let mut definitions = found.attribute_definitions().iter();
        definitions.any(|it| it.attribute_name == name && it.attribute_type == ScalarAttributeType::S)
    };
    let (hash, range) = (key(&KeyType::Hash), key(&KeyType::Range));
    let texts = [hash, range].into_iter().flatten().all(is_text);
    if hash == Some(shape.hash) && range == shape.range && texts {
        return Ok(());
    }
    let wanted = |shape: &Shape| match shape.range {
        None => format!("the partition key {} (S) and no sort key", shape.hash),
        Some(range) => format!("the partition key {} (S) and the sort key {range} (S)", shape.hash),
    };
    let is = match (hash, range) {
        (Some(hash), None) => format!("the partition key {hash}"),
        (Some(hash), Some(range)) => format!("the partition key {hash} and the sort key {range}"),
        _ => "no partition key".to_owned(),
    };
    let types = if texts { "" } else { ", not all of them texts" };
    Err(Error::invalid(format!(
        "{} is of something else: {} are wanted, and it has {is}{types}. Use another table",
        table.place(),
        wanted(shape)
    )))
}

/// Says at the start what to do about the usual mistakes.
fn explain(table: &Table, error: Error) -> Error {
    let region = table.client.config().region().map_or("no region", AsRef::as_ref);
    let message = match error.kind() {
        ErrorKind::Denied => format!("{} in {region} cannot be opened: {}", table.place(), error.message()),
        ErrorKind::Transient => format!(
            "{} in {region} cannot be asked for now: check the network, the region and the endpoint",
            table.place()
        ),
        _ => return error,
    };
    Error::new(error.kind(), message).because(error)
}
