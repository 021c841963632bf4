//! Leases in DynamoDB, in the lease table of the Kinesis Client Library 2.x, attribute for attribute.

mod builder;
mod bytes;
mod calls;
mod checkpoint;
mod cursors;
mod held;
mod item;
mod key;
mod moved;
mod over;
mod rows;
mod second;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod update;

pub use builder::DynamoLeaseStoreBuilder;
pub use store::DynamoLeaseStore;
pub use table::CreateTable;
