use crate::{Collection, Durability, recover::LogPlace};

impl Collection {
    /// Whether a write survives a loss of power once it is acknowledged. A large statement may do so
    /// though this says no: it is synced under every policy.
    pub fn acks_are_durable(&self) -> bool {
        let (store, settings) = (&self.shared.common.store, &self.shared.common.settings);
        let is_in_memory = store.uri().starts_with("memory:");
        match LogPlace::of(store, settings) {
            // Acknowledged once its object is, whatever the setting.
            LogPlace::Objects(_) => !is_in_memory,
            LogPlace::BesideData(_) | LogPlace::Directory(_) => {
                !is_in_memory && settings.durability == Durability::Always
            }
        }
    }
}
