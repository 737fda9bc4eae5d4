//! Object stores as a place: Amazon S3, Google Cloud Storage, Azure Blob Storage, a folder, memory.
//!
//! Promises: a stream is uploaded in parts, several at a time, with bounded memory; it is there when the upload is completed, and an upload that is dropped is aborted (what a
//! crash leaves of one costs room at the provider until a rule of the bucket's life cycle removes it).
//!
//! The archive's calls block; each place has a small runtime of its own, so they must not be made from within an asynchronous task.

use crate::place::{Item, Place, Upload};
use crate::{Error, Result};
use object_store::buffered::BufReader;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;
use url::Url;

/// How many parts are on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// How large a part is, in bytes. Providers take 10,000 parts: streams of up to 156 GiB.
const PART_BYTES: usize = 16 << 20;
/// How much is read at a time, in bytes.
const READ_BYTES: usize = 4 << 20;

/// A place in an object store, below a prefix.
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    runtime: Runtime,
}

impl Objects {
    /// A place in any store of the `object_store` crate. Items get names below `prefix`, which may be empty.
    ///
    /// # Errors
    /// [`Error::UnknownPlace`] when the prefix is no path, or no runtime can be made.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Objects> {
        let unknown = |why: String| Error::UnknownPlace { destination: prefix.to_owned(), why };
        let prefix = Path::parse(prefix).map_err(|error| unknown(error.to_string()))?;
        Objects::with_prefix(store, prefix).map_err(|error| unknown(error.to_string()))
    }

    fn with_prefix(store: Arc<dyn ObjectStore>, prefix: Path) -> io::Result<Objects> {
        // Parts go up while the archive packs the next chunk, so not on the caller's thread alone.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Objects { store, prefix, runtime })
    }

    /// A place by URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` (with the feature `cloud`), `file:///folder`, `memory:///`. Credentials and the like come from the
    /// environment, under the names that the `object_store` crate documents: `AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, ...
    ///
    /// # Errors
    /// [`Error::UnknownPlace`].
    pub fn at(destination: &str) -> Result<Objects> {
        let unknown = |why: String| Error::UnknownPlace { destination: destination.to_owned(), why };
        let url = Url::parse(destination).map_err(|error| unknown(error.to_string()))?;
        if url.scheme() == "file" {
            let path = url.to_file_path().map_err(|()| unknown("it names no folder of this machine".to_owned()))?;
            std::fs::create_dir_all(&path).map_err(|error| unknown(error.to_string()))?;
        }
        // Lower case: that is how options are named; the environment has them in upper case.
        let options = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (store, prefix) =
            object_store::parse_url_opts(&url, options).map_err(|error| unknown(explain(&url, &error)))?;
        Objects::with_prefix(store.into(), prefix).map_err(|error| unknown(error.to_string()))
    }

    fn path(&self, name: &str) -> Path {
        let parts = self.prefix.parts().chain(name.split('/').map(Into::into));
        Path::from_iter(parts)
    }
}

fn explain(url: &Url, error: &object_store::Error) -> String {
    let is_cloud = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "http", "https"].contains(&url.scheme());
    if is_cloud && !cfg!(feature = "cloud") {
        return "this program was built without the providers; build it with the feature `cloud`".to_owned();
    }
    error.to_string()
}

fn io_error(error: object_store::Error) -> io::Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl Place for Objects {
    fn write(&self, name: &str) -> io::Result<Box<dyn Upload + '_>> {
        let upload = self.runtime.block_on(self.store.put_multipart(&self.path(name))).map_err(io_error)?;
        // Parts are sent from tasks of the runtime.
        let _inside = self.runtime.enter();
        let writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        Ok(Box::new(ObjectUpload { writer: Some(writer), runtime: &self.runtime }))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let meta = self.runtime.block_on(self.store.head(&self.path(name))).map_err(io_error)?;
        let reader = BufReader::with_capacity(self.store.clone(), &meta, READ_BYTES);
        Ok(Box::new(ObjectReader { reader, runtime: &self.runtime }))
    }

    fn list(&self) -> io::Result<Vec<Item>> {
        let depth = self.prefix.parts().count();
        self.runtime.block_on(async {
            let mut items = Vec::new();
            // One level of stores, as the names of items have it: other things below the prefix are left alone.
            let stores = self.store.list_with_delimiter(Some(&self.prefix)).await.map_err(io_error)?;
            for store in stores.common_prefixes {
                let found = self.store.list_with_delimiter(Some(&store)).await.map_err(io_error)?;
                for object in found.objects {
                    let parts: Vec<_> = object.location.parts().skip(depth).collect();
                    let name: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
                    items.push(Item { name: name.join("/"), bytes: object.size, written: object.last_modified.into() });
                }
            }
            Ok(items)
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.runtime.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(io_error(error)),
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("store", &self.store).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

struct ObjectUpload<'o> {
    /// `None` when it is finished.
    writer: Option<WriteMultipart>,
    runtime: &'o Runtime,
}

impl Write for ObjectUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(writer) = &mut self.writer else { return Err(ErrorKind::BrokenPipe.into()) };
        self.runtime.block_on(async {
            writer.wait_for_capacity(PARTS_AT_ONCE).await.map_err(io_error)?;
            writer.write(bytes);
            Ok(bytes.len())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        // A part is sent when it is full; the rest with the end.
        Ok(())
    }
}

impl Upload for ObjectUpload<'_> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        let Some(writer) = self.writer.take() else { return Err(ErrorKind::BrokenPipe.into()) };
        self.runtime.block_on(writer.finish()).map(drop).map_err(io_error)
    }
}

impl Drop for ObjectUpload<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let _ = self.runtime.block_on(writer.abort());
        }
    }
}

struct ObjectReader<'o> {
    reader: BufReader,
    runtime: &'o Runtime,
}

impl Read for ObjectReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.reader.read(bytes))
    }
}
