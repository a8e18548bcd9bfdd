//! A request to the receiver: many records with one resource, encoded and compressed.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::attributes::SCHEMA_URL;
use super::encode::{field_len, put_bytes, put_fixed64, put_len};
use super::record::OBSERVED_LEN;

/// The level of compression. Higher levels cost more CPU time than they save in bytes.
const LEVEL: u32 = 1;

/// The level for batches of up to [`SMALL`] bytes that are complete by age. Events are rare then, so that
/// saving a tenth to a fifth of the bytes for up to 2 ms of CPU time is worthwhile.
const LEVEL_OF_SMALL: u32 = 6;
const SMALL: usize = 256 << 10;

/// Why a batch is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completed {
    Full,
    /// Or because of the end of the program.
    ByAge,
}

/// The name of the instrumentation scope, which is this program.
const SCOPE: &str = "proc-connector";

/// Collects records.
#[derive(Debug)]
pub(super) struct Batch {
    /// The field of `ResourceLogs` with the resource.
    resource: Vec<u8>,
    /// The field of `ScopeLogs` with the scope.
    scope: Vec<u8>,
    schema: Vec<u8>,
    /// The records, as fields of `ScopeLogs`.
    records: Vec<u8>,
    /// Where the records are that have no time of observation yet.
    unobserved: Vec<usize>,
    len: usize,
    compress: Compress,
    /// The length of the longest compressed request.
    longest: usize,
}

impl Batch {
    /// `resource` is the encoded message `Resource`.
    pub(super) fn new(resource: &[u8]) -> Self {
        let mut version = Vec::new();
        put_bytes(&mut version, 1, SCOPE.as_bytes());
        put_bytes(&mut version, 2, env!("CARGO_PKG_VERSION").as_bytes());
        let [mut field, mut scope, mut schema] = [Vec::new(), Vec::new(), Vec::new()];
        put_bytes(&mut field, 1, resource);
        put_bytes(&mut scope, 1, &version);
        put_bytes(&mut schema, 3, SCHEMA_URL.as_bytes());
        Self {
            resource: field,
            scope,
            schema,
            records: Vec::new(),
            unobserved: Vec::new(),
            len: 0,
            compress: Compress::new_gzip(Compression::new(LEVEL), 15),
            longest: 0,
        }
    }

    /// Adds a record that begins with the time of observation.
    pub(super) fn push(&mut self, record: &[u8]) {
        put_len(&mut self.records, 2, record.len());
        self.unobserved.push(self.records.len());
        self.records.extend_from_slice(record);
        self.len += 1;
    }

    /// Sets the time of observation of the records that have none, in nanoseconds since 1970.
    pub(super) fn observed(&mut self, unix_ns: u64) {
        let mut field = Vec::with_capacity(OBSERVED_LEN);
        put_fixed64(&mut field, 11, unix_ns);
        for at in self.unobserved.drain(..) {
            self.records[at..at + OBSERVED_LEN].copy_from_slice(&field);
        }
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of bytes of the records.
    pub(super) fn size(&self) -> usize {
        self.records.len()
    }

    /// Encodes and compresses the request, and removes the records.
    pub(super) fn take(&mut self, completed: Completed) -> Vec<u8> {
        let Self { resource, scope, schema, records, compress, longest, .. } = self;
        let scope_logs = scope.len() + records.len() + schema.len();
        let resource_logs = resource.len() + field_len(scope_logs) + schema.len();
        let mut head = Vec::new();
        put_len(&mut head, 1, resource_logs);
        head.extend_from_slice(resource);
        put_len(&mut head, 2, scope_logs);
        head.extend_from_slice(scope);
        // Both messages end with their schema.
        let tail = [&**schema, &**schema].concat();
        let mut body = Vec::with_capacity(*longest);
        let is_rare = completed == Completed::ByAge && records.len() <= SMALL;
        let level = if is_rare { LEVEL_OF_SMALL } else { LEVEL };
        // Changing the level fails only in the middle of a stream.
        let _ = compress.set_level(Compression::new(level));
        for (part, flush) in [
            (&head, FlushCompress::None),
            (records, FlushCompress::None),
            (&tail, FlushCompress::Finish),
        ] {
            compress_part(compress, part, flush, &mut body);
        }
        compress.reset();
        *longest = body.len().max(*longest);
        self.records.clear();
        self.len = 0;
        body
    }
}

/// Compresses a part of a request. With memory for the output, compression cannot fail.
fn compress_part(compress: &mut Compress, part: &[u8], flush: FlushCompress, body: &mut Vec<u8>) {
    /// The least free capacity to compress into.
    const STEP: usize = 1 << 14;
    let before = compress.total_in();
    loop {
        let consumed = usize::try_from(compress.total_in() - before).unwrap_or(part.len());
        let rest = &part[consumed.min(part.len())..];
        if rest.is_empty() && flush == FlushCompress::None {
            return;
        }
        body.reserve(STEP);
        match compress.compress_vec(rest, body, flush) {
            Ok(Status::StreamEnd) | Err(_) => return,
            Ok(Status::Ok | Status::BufError) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::Compression;
    use flate2::read::GzDecoder;
    use flate2::write::GzEncoder;

    use super::Completed::{ByAge, Full};
    use super::{Batch, LEVEL, LEVEL_OF_SMALL, OBSERVED_LEN, SMALL};

    /// The length of the data, compressed by an encoder of its own.
    fn compressed_len(data: &[u8], level: u32) -> usize {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory").len()
    }

    #[test]
    fn small_batches_of_rare_events_are_compressed_more() {
        let mut batch = Batch::new(b"");
        let count = SMALL / 100;
        for (records, completed, level, other) in [
            (count / 2, ByAge, LEVEL_OF_SMALL, LEVEL),
            (count * 2, ByAge, LEVEL, LEVEL_OF_SMALL),
            (1, ByAge, LEVEL_OF_SMALL, LEVEL),
            (count / 2, Full, LEVEL, LEVEL_OF_SMALL),
            (count / 3, ByAge, LEVEL_OF_SMALL, LEVEL),
        ] {
            for number in 0..records {
                let mut record = vec![b' '; OBSERVED_LEN];
                record.extend(format!("{:x}, process {number:90}", number * 7_919).into_bytes());
                batch.push(&record);
            }
            let body = batch.take(completed);
            let mut request = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut request).expect("gzip");
            let [own, theirs] = [level, other].map(|level| compressed_len(&request, level));
            // The encoder gets the data in one part.
            assert!(body.len().abs_diff(own) < 20, "{records}: {}, not {own}", body.len());
            assert!(records == 1 || own.abs_diff(theirs) > 100, "{records}: {own}, {theirs}");
        }
    }
}
