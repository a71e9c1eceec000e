/// Why bytes could not be decoded. The caller knows the file, and says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A codec number this version does not know.
    #[error("codec {0} is unknown; a newer drift has written it, upgrade to read it")]
    UnknownCodec(u8),

    /// The bytes are not what an encoder writes.
    #[error("coded bytes are corrupt: {0}")]
    Corrupt(&'static str),
}
