//! An update of an item, put together from its parts: what is set, added and removed, and on which condition.

use std::collections::HashMap;
use std::fmt::Write as _;

use aws_sdk_dynamodb::types::AttributeValue;

/// The parts of an `UpdateItem`. Attributes go by placeholders, because DynamoDB reserves hundreds of words.
#[derive(Debug, Default)]
pub(super) struct Update {
    set: Vec<String>,
    add: Vec<String>,
    remove: Vec<String>,
    conditions: Vec<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Update {
    pub(super) fn set(mut self, name: &str, value: AttributeValue) -> Self {
        let set = format!("{} = {}", self.name(name), self.value(value));
        self.set.push(set);
        self
    }

    /// Counts up, or puts more into a set.
    pub(super) fn add(mut self, name: &str, value: AttributeValue) -> Self {
        let add = format!("{} {}", self.name(name), self.value(value));
        self.add.push(add);
        self
    }

    pub(super) fn remove(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.remove.push(name);
        self
    }

    pub(super) fn when_equal(mut self, name: &str, value: AttributeValue) -> Self {
        let condition = format!("{} = {}", self.name(name), self.value(value));
        self.conditions.push(condition);
        self
    }

    pub(super) fn when_less(mut self, name: &str, value: AttributeValue) -> Self {
        let condition = format!("{} < {}", self.name(name), self.value(value));
        self.conditions.push(condition);
        self
    }

    pub(super) fn when_present(mut self, name: &str) -> Self {
        let condition = format!("attribute_exists({})", self.name(name));
        self.conditions.push(condition);
        self
    }

    pub(super) fn when_absent(mut self, name: &str) -> Self {
        let condition = format!("attribute_not_exists({})", self.name(name));
        self.conditions.push(condition);
        self
    }

    pub(super) fn when_absent_or_equal(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(name), self.value(value));
        self.conditions.push(format!("(attribute_not_exists({name}) OR {name} = {value})"));
        self
    }

    /// What is done; empty for a deletion.
    pub(super) fn expression(&self) -> String {
        let mut expression = String::new();
        for (verb, parts) in [("SET", &self.set), ("ADD", &self.add), ("REMOVE", &self.remove)] {
            if !parts.is_empty() {
                // Writing into a string cannot fail.
                let _ = write!(expression, "{verb} {} ", parts.join(", "));
            }
        }
        expression.trim_end().to_owned()
    }

    pub(super) fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_become_one_expression() {
        let number = || AttributeValue::N("1".into());
        let update = Update::default().set("a", number()).set("b", number()).add("c", number()).remove("d");
        let update = update.when_equal("a", number()).when_absent("e").when_absent_or_equal("f", number());
        let update = update.when_present("g").when_less("a", number());
        assert_eq!(update.expression(), "SET #a = :v0, #b = :v1 ADD #c :v2 REMOVE #d");
        let condition = update.condition();
        assert_eq!(
            condition.as_deref(),
            Some(
                "#a = :v3 AND attribute_not_exists(#e) AND (attribute_not_exists(#f) OR #f = :v4) AND attribute_exists(#g) \
                 AND #a < :v5"
            )
        );
        assert_eq!((update.names.len(), update.values.len()), (7, 6));
        assert_eq!(Update::default().condition(), None);
    }
}
