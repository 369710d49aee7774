//! How large the packed forms may grow before they turn into general ones: Redis's directives of the same names.

/// The conversion limits; the defaults are those of Redis 8.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `hash-max-listpack-entries`, in fields.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`, in bytes of one field or value.
    pub hash_max_listpack_value: usize,
    /// `list-max-listpack-size`: above 0 elements a node, -1 to -5 for 4, 8, 16, 32 and 64 KiB a node.
    pub list_max_listpack_size: i64,
    /// `list-compress-depth`: accepted, and without effect.
    pub list_compress_depth: u32,
    /// DEBUG QUICKLIST-PACKED-THRESHOLD, in bytes of one element; 0 leaves it to `list-max-listpack-size`.
    pub list_packed_threshold: usize,
    /// `set-max-intset-entries`, in members.
    pub set_max_intset_entries: usize,
    /// `set-max-listpack-entries`, in members.
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value`, in bytes of one member.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`, in members.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`, in bytes of one member.
    pub zset_max_listpack_value: usize,
    /// `stream-node-max-bytes`; 0 is no limit.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`; 0 is no limit.
    pub stream_node_max_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            list_packed_threshold: 0,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
        }
    }
}
