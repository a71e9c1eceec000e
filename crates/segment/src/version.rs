use crate::error::Flaw;

/// The first bytes of superblock and the last of the trailer. As PNG's: a byte that is no text, the
/// name, and line ends that a text-mode copy would change.
pub(crate) const MAGIC: [u8; 8] = *b"\x89DRFT\r\n\x1a";

/// The version written.
pub(crate) const MAJOR: u16 = 0;
pub(crate) const MINOR: u16 = 4;

/// The incompat feature bits this program understands; it writes none so far.
const KNOWN_INCOMPAT: u64 = 0;

/// The ro_compat feature bits this program understands; it writes none so far.
const KNOWN_RO_COMPAT: u64 = 0;

/// Whether this program may put the rows of a file with these features into a new file, without
/// losing what it does not understand.
pub(crate) fn can_rewrite(ro_compat: u64) -> bool {
    ro_compat & !KNOWN_RO_COMPAT == 0
}

/// Refuses what this program cannot read. A higher minor version only adds what may be ignored;
/// lower ones are given up as long as the major version is 0.
pub(crate) fn check(major: u16, minor: u16, incompat: u64) -> Result<(), Flaw> {
    let version = format!("it has format version {major}.{minor}");
    if major != MAJOR {
        return Err(Flaw::Newer(version));
    }
    if minor < MINOR {
        return Err(Flaw::Older(version));
    }
    let unknown = incompat & !KNOWN_INCOMPAT;
    if unknown != 0 {
        return Err(Flaw::Newer(format!("it uses the unknown features {unknown:#x}")));
    }
    Ok(())
}
