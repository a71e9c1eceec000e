//! The catalog, read from the engine at every look: a collection another client has just made is
//! there.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider},
    common::{Result, exec_err},
};
use drift_engine::Database;

use crate::{
    DriftTable, SCHEMA,
    system::{SYSTEM_SCHEMA, SystemSchema},
};

/// The catalog of a database: the schema of its collections, and that of the system tables.
pub(crate) struct DriftCatalog {
    collections: Arc<DriftSchema>,
    system: Arc<SystemSchema>,
}

impl DriftCatalog {
    pub(crate) fn new(database: Database) -> Self {
        let system = Arc::new(SystemSchema::new(database.clone()));
        Self { collections: Arc::new(DriftSchema { database, session: MemorySchemaProvider::new() }), system }
    }
}

impl fmt::Debug for DriftCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriftCatalog({:?}, {:?})", self.collections, self.system)
    }
}

impl CatalogProvider for DriftCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![SYSTEM_SCHEMA.into(), SCHEMA.into()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            SCHEMA => Some(self.collections.clone()),
            SYSTEM_SCHEMA => Some(self.system.clone()),
            _ => None,
        }
    }
}

/// The collections of a database, and beside them what the session alone has: views and external
/// tables.
struct DriftSchema {
    database: Database,
    session: MemorySchemaProvider,
}

impl DriftSchema {
    fn collection(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        Some(Arc::new(DriftTable::new(self.database.collection(name).ok()?)))
    }
}

impl fmt::Debug for DriftSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriftSchema({})", self.database.uri())
    }
}

#[async_trait]
impl SchemaProvider for DriftSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.database.collections().iter().map(|c| c.name().to_owned()).collect();
        names.extend(self.session.table_names());
        names.sort_unstable();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.collection(name) {
            Some(table) => Ok(Some(table)),
            None => self.session.table(name).await,
        }
    }

    fn register_table(&self, name: String, table: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
        if self.collection(&name).is_some() {
            return exec_err!("a collection is named '{name}': choose another name");
        }
        self.session.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.session.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.database.collection(name).is_ok() || self.session.table_exist(name)
    }
}
