//! The calls to DynamoDB: each says what it consumed, and what a failure means.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use kinesis_core::{Event, Observer, Result};

use super::item::Item;
use super::update::Update;
use crate::classify::classify_on;

/// One table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) name: String,
    pub(super) observer: Arc<dyn Observer>,
}

/// What became of a conditional write.
#[derive(Debug)]
pub(super) enum Written {
    /// It was done; the item as it is now, where the call tells it.
    Done(Item),
    /// The condition does not hold; the item as it is, where the server tells it.
    Refused(Option<Item>),
}

/// The condition of a write has to be told from its failures.
macro_rules! written {
    ($table:expr, $operation:literal, $sent:expr, $refused:path) => {
        match $sent {
            Ok(output) => {
                $table.wrote(output.consumed_capacity());
                Ok(Written::Done(output.attributes.unwrap_or_default()))
            }
            Err(SdkError::ServiceError(context)) if context.err().is_conditional_check_failed_exception() => {
                let item = match context.into_err() {
                    $refused(refused) => refused.item,
                    _ => None,
                };
                // A server that does not know the wish tells nothing, or an empty item.
                Ok(Written::Refused(item.filter(|item| !item.is_empty())))
            }
            Err(error) => Err(classify_on($operation, &$table.place(), error)),
        }
    };
}

impl Table {
    /// Reads an item as it is now.
    pub(super) async fn get(&self, key: Item) -> Result<Option<Item>> {
        let call = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = call.send().await.map_err(|error| classify_on("GetItem", &self.place(), error))?;
        self.read(output.consumed_capacity());
        Ok(output.item)
    }

    /// Reads every item, page by page, each as it was a moment ago at the latest: half the price of reading it as it is now.
    pub(super) async fn scan(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let call = self.client.scan().table_name(&self.name).set_exclusive_start_key(from);
            let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let page = call.send().await.map_err(|error| classify_on("Scan", &self.place(), error))?;
            self.read(page.consumed_capacity());
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    /// Reads the items with this partition key as they are now, those alone whose sort key is less than `below`.
    pub(super) async fn query(&self, hash: (&str, &str), below: Option<(&str, &str)>) -> Result<Vec<Item>> {
        let mut condition = "#hash = :hash".to_owned();
        if below.is_some() {
            condition.push_str(" AND #sort < :below");
        }
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let call = self.client.query().table_name(&self.name).consistent_read(true).set_exclusive_start_key(from);
            let mut call = call.key_condition_expression(&condition).expression_attribute_names("#hash", hash.0);
            call = call.expression_attribute_values(":hash", AttributeValue::S(hash.1.to_owned()));
            if let Some((sort, below)) = below {
                call = call.expression_attribute_names("#sort", sort);
                call = call.expression_attribute_values(":below", AttributeValue::S(below.to_owned()));
            }
            let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let page = call.send().await.map_err(|error| classify_on("Query", &self.place(), error))?;
            self.read(page.consumed_capacity());
            items.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    /// Puts a whole item, if the condition of `update` holds.
    pub(super) async fn put(&self, item: Item, update: Update) -> Result<Written> {
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let call = call
            .set_condition_expression(update.condition())
            .set_expression_attribute_names(some(update.names))
            .set_expression_attribute_values(some(update.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        written!(self, "PutItem", call.send().await, PutItemError::ConditionalCheckFailedException)
    }

    /// Updates an item that is there or not, if the condition holds; what is done is the item as it is then.
    pub(super) async fn update(&self, key: Item, update: Update) -> Result<Written> {
        let call = self.client.update_item().table_name(&self.name).set_key(Some(key));
        let call = call
            .update_expression(update.expression())
            .set_condition_expression(update.condition())
            .set_expression_attribute_names(some(update.names))
            .set_expression_attribute_values(some(update.values))
            // Neither of the two costs capacity.
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        written!(self, "UpdateItem", call.send().await, UpdateItemError::ConditionalCheckFailedException)
    }

    /// Deletes an item, if the condition of `update` holds.
    pub(super) async fn delete(&self, key: Item, update: Update) -> Result<Written> {
        let call = self.client.delete_item().table_name(&self.name).set_key(Some(key));
        let call = call
            .set_condition_expression(update.condition())
            .set_expression_attribute_names(some(update.names))
            .set_expression_attribute_values(some(update.values))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        written!(self, "DeleteItem", call.send().await, DeleteItemError::ConditionalCheckFailedException)
    }

    pub(super) fn place(&self) -> String {
        format!("the table {}", self.name)
    }

    fn read(&self, consumed: Option<&ConsumedCapacity>) {
        if let Some(reads) = consumed.and_then(ConsumedCapacity::capacity_units) {
            self.observer.on(&Event::StoreConsumed { reads, writes: 0.0 });
        }
    }

    fn wrote(&self, consumed: Option<&ConsumedCapacity>) {
        if let Some(writes) = consumed.and_then(ConsumedCapacity::capacity_units) {
            self.observer.on(&Event::StoreConsumed { reads: 0.0, writes });
        }
    }
}

/// DynamoDB refuses empty maps.
fn some<K, V>(map: std::collections::HashMap<K, V>) -> Option<std::collections::HashMap<K, V>> {
    (!map.is_empty()).then_some(map)
}
