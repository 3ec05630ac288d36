//! What an ELF file asks of the loader. Read, never run: `ldd` would execute it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind};

use super::PackError;

/// Largest file that is looked into.
const FILE_BYTES_MAX: u64 = 4 << 30;
const MAGIC: &[u8] = b"\x7fELF";

/// The loader's view of an executable or a shared library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// `e_machine`
    pub(super) machine: u16,
    pub(super) is_64: bool,
    /// The program that loads it; none: statically linked, or a library.
    pub(super) interpreter: Option<PathBuf>,
    /// Sonames.
    pub(super) needed: Vec<String>,
    /// Folders for its own needs and those of what it loads; ignored by the loader where there is a run path.
    pub(super) rpath: Vec<String>,
    /// Folders for its own needs.
    pub(super) runpath: Vec<String>,
}

/// Reads an ELF file; none if it is something else.
pub(super) fn read(path: &Path) -> Result<Option<Object>, PackError> {
    let fail = || PackError::io("read", path);
    let size = fs::metadata(path).map_err(fail())?.len();
    if size > FILE_BYTES_MAX {
        return Err(PackError::TooLarge { path: path.to_owned(), limit: FILE_BYTES_MAX });
    }
    let mut file = File::open(path).map_err(PackError::io("open", path))?;
    let mut data = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut data).map_err(fail())?;
    if data != MAGIC {
        return Ok(None);
    }
    file.take(FILE_BYTES_MAX).read_to_end(&mut data).map_err(fail())?;
    let parsed = match FileKind::parse(data.as_slice()) {
        Ok(FileKind::Elf32) => parse::<elf::FileHeader32<Endianness>>(&data, false),
        Ok(FileKind::Elf64) => parse::<elf::FileHeader64<Endianness>>(&data, true),
        Ok(_) => return Ok(None),
        Err(error) => Err(error),
    };
    parsed.map(Some).map_err(|source| PackError::Elf { path: path.to_owned(), source })
}

fn parse<Header: FileHeader<Endian = Endianness>>(data: &[u8], is_64: bool) -> object::read::Result<Object> {
    let header = Header::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let mut object = Object {
        machine: header.e_machine(endian),
        is_64,
        interpreter: None,
        needed: Vec::new(),
        rpath: Vec::new(),
        runpath: Vec::new(),
    };
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, data)? {
            object.interpreter = Some(PathBuf::from(text(interpreter)));
        }
        if let Some(entries) = segment.dynamic(endian, data)? {
            let entries: Vec<(i64, u64)> = entries
                .iter()
                .map(|entry| (entry.d_tag(endian).into(), entry.d_val(endian).into()))
                .take_while(|(tag, _)| *tag != elf::DT_NULL)
                .collect();
            let strings = strings::<Header>(&entries, segments, endian, data)?;
            object.read_dynamic(&entries, strings);
        }
    }
    Ok(object)
}

/// The dynamic string table, found by its address.
fn strings<'data, Header: FileHeader<Endian = Endianness>>(
    entries: &[(i64, u64)],
    segments: &'data [Header::ProgramHeader],
    endian: Endianness,
    data: &'data [u8],
) -> object::read::Result<&'data [u8]> {
    let value = |wanted: i64| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else { return Ok(&[]) };
    for segment in segments {
        if segment.p_type(endian) == elf::PT_LOAD
            && let Ok(Some(found)) = segment.data_range(endian, data, address, size)
        {
            return Ok(found);
        }
    }
    Ok(&[])
}

impl Object {
    fn read_dynamic(&mut self, entries: &[(i64, u64)], strings: &[u8]) {
        let string = |offset: u64| {
            let rest = usize::try_from(offset).ok().and_then(|offset| strings.get(offset..))?;
            rest.split(|byte| *byte == 0).next().map(text)
        };
        let folders = |value: u64| {
            let joined = string(value).unwrap_or_default();
            joined.split(':').filter(|folder| !folder.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        for (tag, value) in entries {
            match *tag {
                elf::DT_NEEDED => self.needed.extend(string(*value).filter(|name| !name.is_empty())),
                elf::DT_RPATH => self.rpath.extend(folders(*value)),
                elf::DT_RUNPATH => self.runpath.extend(folders(*value)),
                _ => {}
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
