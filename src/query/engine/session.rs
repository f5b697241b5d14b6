//! The conventions all plans have in common, and what one query may take.

use std::{collections::HashMap, path::Path, sync::Arc};

use datafusion::{
    error::{DataFusionError, Result},
    execution::{
        TaskContext,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        object_store::ObjectStoreRegistry,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
        session_state::{SessionState, SessionStateBuilder},
    },
    object_store::{ObjectStore, memory::InMemory},
    prelude::SessionConfig,
};
use url::Url;

use super::memory::{Pool, Share};
use crate::{config::SqlCaps, query::exact};

/// Functions, rules and conventions. Without table functions, file formats or a way to name what was not given.
pub(super) fn state(partitions: usize) -> SessionState {
    let mut config = SessionConfig::new().with_target_partitions(partitions).with_information_schema(false);
    let options = config.options_mut();
    // Names are found by us, as the contract says, before DataFusion sees them.
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    options.sql_parser.collect_spans = true;
    options.execution.enable_recursive_ctes = false;
    options.execution.planning_concurrency = 1;
    options.execution.enforce_batch_size_in_joins = true;
    options.execution.sort_spill_reservation_bytes = 4 << 20;
    let parquet = &mut options.execution.parquet;
    // Rows are filtered above the scan: DataFusion 55 leaves the filter out for row groups where no row is known to fail,
    // and then keeps rows for which it is null, as of an empty list's first item.
    parquet.pushdown_filters = false;
    parquet.metadata_size_hint = None;
    SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_optimizer_rules(exact::optimizer_rules())
        .with_table_functions(HashMap::new())
        .with_table_factories(HashMap::new())
        .with_file_formats(Vec::new())
        .build()
}

/// What a query runs in: its share of memory, its place on disk, and no stores.
pub(super) fn environment(memory: &Arc<Pool>, scratch: &Path, caps: &SqlCaps) -> Result<Arc<RuntimeEnv>> {
    std::fs::create_dir_all(scratch).map_err(DataFusionError::IoError)?;
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![scratch.to_owned()]))
        .with_max_temp_directory_size(caps.spill);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(Share::new(memory, caps.memory)))
        .with_disk_manager_builder(disk)
        .with_object_store_registry(Arc::new(NoStores(Arc::new(InMemory::new()))))
        .build_arc()
}

/// The context operators run in.
pub(super) fn task(state: &SessionState, environment: Arc<RuntimeEnv>) -> TaskContext {
    TaskContext::new(
        None,
        state.session_id().to_owned(),
        state.config().clone(),
        state.scalar_functions().clone(),
        state.higher_order_functions().clone(),
        state.aggregate_functions().clone(),
        state.window_functions().clone(),
        environment,
    )
}

/// DataFusion asks for a store before every scan and then hands it to the reader, which has its own. This one is empty,
/// and stays so: neither files nor the network are to be had by any address.
#[derive(Debug)]
struct NoStores(Arc<InMemory>);

impl ObjectStoreRegistry for NoStores {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, _: &Url) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::clone(&self.0) as Arc<dyn ObjectStore>)
    }
}
