//! One address book for all who ask, opened by the first of them.

use super::book::{Book, BookError};
use super::{HostName, NameError};
use parking_lot::Mutex;
use ramson_protocol::b32::{self, B32, B32Error};
use ramson_protocol::data::keys_and_cert::Destination;
use std::path::PathBuf;
use std::sync::Arc;

/// The address book of this process; clones are the same one.
#[derive(Clone)]
pub struct Names {
    path: Arc<PathBuf>,
    book: Arc<Mutex<Option<Arc<Book>>>>,
}

/// Why a text leads to no destination.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It is not within I2P.
    #[error("it is not in I2P: names end with .i2p")]
    NotI2p,
    /// It is no address in base 32, though it looks like one.
    #[error(transparent)]
    Address(#[from] B32Error),
    /// It cannot be a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No book has it.
    #[error("no address book has {0}")]
    Unknown(HostName),
    /// The book failed.
    #[error(transparent)]
    Book(#[from] BookError),
}

impl Names {
    /// The book in this file, which is opened when somebody asks.
    pub fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), book: Arc::default() }
    }

    /// The book.
    ///
    /// # Errors
    /// If it cannot be opened. The next who asks tries again.
    pub fn book(&self) -> Result<Arc<Book>, BookError> {
        let mut book = self.book.lock();
        if let Some(book) = &*book {
            return Ok(Arc::clone(book));
        }
        let opened = Arc::new(Book::open(&self.path)?);
        *book = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The destination that the book has under a name.
    ///
    /// # Errors
    /// If the book cannot be read.
    pub fn destination(&self, name: &HostName) -> Result<Option<Destination>, BookError> {
        Ok(self.book()?.lookup(name)?.map(|(_, entry)| entry.destination().clone()))
    }

    /// Whose a name is: one of the book, or an address in base 32, in either case and with a dot at the end or without.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn resolve(&self, host: &str) -> Result<B32, ResolveError> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if host.ends_with(b32::SUFFIX) {
            return Ok(B32::parse(&host)?);
        }
        let name = match HostName::parse(&host) {
            Err(NameError::Suffix) => return Err(ResolveError::NotI2p),
            name => name?,
        };
        match self.destination(&name)? {
            Some(destination) => Ok(B32::Hash(destination.hash())),
            None => Err(ResolveError::Unknown(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::book::Shelf;
    use crate::names::entry::tests::key;
    use ramson_protocol::time::Wall;

    #[test]
    fn names_and_addresses_lead_to_destinations_and_all_else_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path().join("names.redb"));
        let (name, site) = (HostName::parse("site.i2p").unwrap(), key(1).1);
        assert!(matches!(names.resolve("SITE.i2p."), Err(ResolveError::Unknown(unknown)) if unknown == name));
        names.book().unwrap().add(Shelf::User, &name, site.clone(), false, Wall(1)).unwrap();
        let hash = B32::Hash(site.hash());
        assert_eq!(names.resolve("SITE.i2p.").unwrap(), hash);
        assert_eq!(names.resolve(&site.hash().to_b32().to_uppercase()).unwrap(), hash);
        for outside in ["example.com", "localhost", "", "192.0.2.1", "i2p"] {
            assert!(matches!(names.resolve(outside), Err(ResolveError::NotI2p)), "{outside}");
        }
        assert!(matches!(names.resolve("aaaa.b32.i2p"), Err(ResolveError::Address(_))));
        assert!(matches!(names.resolve("a--b.i2p"), Err(ResolveError::Name(_))));
    }
}
