//! Making and opening the file: whose it is, whether it is whole, and that nobody else has it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, DatabaseError, ReadableDatabase as _, StorageBackend, TableDefinition};

use super::table::Tables;
use crate::error::{Error, Result};

/// What the file is, in words and numbers.
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
const FORMAT: (&str, &str) = ("format", "kinesis-toolkit state");
/// The version that is written, and the newest that is understood.
const VERSION: (&str, u32) = ("version", 1);
const APPLICATION: &str = "application";

/// How every redb file begins (its design document).
const MAGIC: &[u8] = b"redb";

/// Bytes of the file that are kept in memory; a thousand rows of ten cursors have about a megabyte.
const CACHE: usize = 4 << 20;

/// How the file is opened: every page is checked, because what was garbled is trusted otherwise.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// Makes the file for `application`. It appears whole: a process that is killed meanwhile leaves a file of another name
/// behind, and of two that make it at once one finds that of the other.
pub(super) fn make(path: &Path, application: &str) -> Result<()> {
    let refuse = |error: io::Error| {
        let message = format!("cannot make the state file {}", path.display());
        Error::permanent(message).because(error)
    };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{:016x}.new", fastrand::u64(..)));
    let unfinished = PathBuf::from(unfinished);
    let made = fill(&unfinished, application).map_err(io::Error::other);
    let made = made.and_then(|()| match std::fs::hard_link(&unfinished, path) {
        Ok(()) => Ok(()),
        // Somebody else has made it meanwhile.
        Err(_) if path.exists() => Ok(()),
        // Not every file system has links.
        Err(_) => std::fs::rename(&unfinished, path),
    });
    // The other name of the file, or what is left of it.
    let _ = std::fs::remove_file(&unfinished);
    made.and_then(|()| sync_folder(path)).map_err(refuse)
}

fn fill(path: &Path, application: &str) -> Result<(), redb::Error> {
    let database = builder().create(path)?;
    let transaction = database.begin_write()?;
    {
        let mut about = transaction.open_table(ABOUT)?;
        about.insert(FORMAT.0, FORMAT.1)?;
        about.insert(VERSION.0, &*VERSION.1.to_string())?;
        about.insert(APPLICATION, application)?;
        Tables::open(&transaction)?;
    }
    Ok(transaction.commit()?)
}

/// Makes the new name last: it is stored with the folder, not with the file.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Opens the file of `application`. What must not be opened stays as it is: a copy in memory is looked at first.
pub(super) fn open(path: &Path, application: &str) -> Result<Database> {
    let name = path.display();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::not_found(format!("there is no state file {name}: a run with this file makes it")).because(error)
        }
        _ => Error::permanent(format!("cannot open the state file {name}")).because(error),
    };
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(unreadable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(path)),
        Err(TryLockError::Error(error)) => return Err(unreadable(error)),
    }
    let mut content = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut content).map_err(unreadable)?;
    if content != MAGIC {
        let what = if content.is_empty() { "it is empty" } else { "it is something else" };
        return Err(Error::invalid(format!(
            "{name} is no state file: {what}; name another file, or remove this one to begin anew"
        )));
    }
    file.read_to_end(&mut content).map_err(unreadable)?;
    // What is damaged in a way that the checksums miss may trip an assertion.
    let checked = catch_unwind(AssertUnwindSafe(|| check(&content)));
    let damaged = |why: String| {
        Error::invalid(format!(
            "the state file {name} is damaged; put a copy in its place, or remove it to begin anew, which repeats what \
             was delivered"
        ))
        .because(why)
    };
    let about = checked.map_err(|_| damaged("its parts do not fit together".to_owned()))?;
    about.map_err(|error| damaged(error.to_string()))?.accept(path, application)?;
    let backend = FileBackend::new(file).map_err(|error| cannot_open(path, error))?;
    builder().create_with_backend(backend).map_err(|error| cannot_open(path, error))
}

fn in_use(path: &Path) -> Error {
    Error::invalid(format!(
        "the state file {} is in use by another process; wait until that has ended, or take another file",
        path.display()
    ))
}

fn cannot_open(path: &Path, error: DatabaseError) -> Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen => in_use(path),
        error => Error::permanent(format!("cannot open the state file {}", path.display())).because(error),
    }
}

/// What a file says about itself.
struct About {
    format: Option<String>,
    version: Option<String>,
    application: Option<String>,
}

/// Opens `content` as a database, every page checked, and reads what it is.
fn check(content: &[u8]) -> Result<About, redb::Error> {
    let copy = InMemoryBackend::new();
    copy.set_len(content.len() as u64)?;
    copy.write(0, content)?;
    let database = builder().create_with_backend(copy)?;
    let transaction = database.begin_read()?;
    let about = match transaction.open_table(ABOUT) {
        Ok(about) => about,
        Err(redb::TableError::TableDoesNotExist(_) | redb::TableError::TableTypeMismatch { .. }) => {
            return Ok(About { format: None, version: None, application: None });
        }
        Err(error) => return Err(error.into()),
    };
    let read = |key| Ok::<_, redb::Error>(about.get(key)?.map(|value| value.value().to_owned()));
    Ok(About { format: read(FORMAT.0)?, version: read(VERSION.0)?, application: read(APPLICATION)? })
}

impl About {
    /// Whether this version may work with the file, for `application`.
    fn accept(self, path: &Path, application: &str) -> Result<()> {
        let name = path.display();
        if self.format.as_deref() != Some(FORMAT.1) {
            return Err(Error::invalid(format!(
                "{name} is no state file but the database of another program; name another file"
            )));
        }
        let version = self.version.unwrap_or_default();
        if !version.parse().is_ok_and(|version: u32| version <= VERSION.1) {
            return Err(Error::invalid(format!(
                "the state file {name} has version {version:?}, and this program understands versions up to {}; use the \
                 program that wrote it, or a newer one",
                VERSION.1
            )));
        }
        let owner = self.application.unwrap_or_default();
        if owner != application {
            return Err(Error::invalid(format!(
                "the state file {name} belongs to the application {owner:?}, not to {application:?}; name another file"
            )));
        }
        Ok(())
    }
}
