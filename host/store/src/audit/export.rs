//! From the database to files, in this order: data keys, full and partial files, folders synced, `checkpoint`, and only
//! then the rows leave the database. A stop at any point leaves either the old checkpoint with all rows after it, or
//! the new one with rows that are exported already and are deleted at the next run.

use std::{
    fs, io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    AuditError, Checkpoint, Frontier, Numbered, bundle,
    edge::Edge,
    keys,
    layout::{self, Kind, Output, Piece, WIDTH, damaged},
    merkle,
    note::{self, Body, Signer},
    pending,
    records::RecordFiles,
};
use crate::{
    KeyRing, Reader, Store, StoreError, View, WriteError,
    seal::{Scratch, Seals},
    table::{AUDIT_PENDING, AUDIT_STATE},
};

pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const KEY: &str = "key.pub";
/// Rows read or deleted at once: a bound on memory and on how long other rules wait.
const STEP: usize = 128;

pub(crate) struct Export {
    dir: PathBuf,
    database: String,
    seals: Arc<Seals>,
    signer: Signer,
    edge: Edge,
    /// The note in `checkpoint`, once there is one.
    note: Option<String>,
    scratch: Scratch,
}

impl Export {
    /// Reads the files' state and checks it against the database's (`frontier`).
    pub(crate) fn open(
        dir: &Path,
        origin: &str,
        database: &str,
        ring: &KeyRing,
        seals: &Arc<Seals>,
        view: &View,
        frontier: &Frontier,
    ) -> Result<Export, StoreError> {
        let signer = Signer::derive(ring, origin)?;
        publish_key(dir, &signer)?;
        let mut out = Output::new(dir);
        keys::publish(&mut out, dir, database, seals)?;
        out.sync()?;
        let (edge, note) = load(dir, &signer)?;
        let exported = state(view, b"exported")?;
        compare(dir, view, &edge.frontier, &exported, frontier)?;
        Ok(Export {
            dir: dir.into(),
            database: database.into(),
            seals: Arc::clone(seals),
            signer,
            edge,
            note,
            scratch: Scratch::new(),
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.frontier.size()
    }

    pub(crate) fn run(&mut self, store: &Store, now_ms: u64) -> Result<Checkpoint, StoreError> {
        let view = store.view()?;
        let target = state(&view, b"size")?;
        if target.size() > self.size() || self.note.is_none() {
            self.publish(&view, &target)?;
        }
        self.hand_over(store, &view)?;
        Ok(Checkpoint {
            size: self.size(),
            root: self.edge.frontier.root(),
            time_ms: now_ms,
            note: self.note.clone().unwrap_or_default(),
        })
    }

    fn publish(&mut self, view: &View, target: &Frontier) -> Result<(), StoreError> {
        let (dir, before) = (self.dir.clone(), self.size());
        let mut out = Output::new(&dir);
        keys::publish(&mut out, &dir, &self.database, &self.seals)?;
        // On a copy: after a failure, the next run begins where the files' checkpoint stands.
        let mut edge = self.edge.clone();
        self.append(view, &mut edge, &mut out)?;
        if edge.frontier != *target {
            return Err(StoreError::Malformed { what: "the audit log's state" });
        }
        edge.put_partial(&mut out)?;
        out.sync()?;
        let body = Body { origin: self.signer.verifier().name.clone(), size: target.size(), root: target.root() };
        let note = self.signer.sign(&body.encode());
        out.put(Path::new(CHECKPOINT), note.as_bytes())?;
        out.sync()?;
        self.edge = edge;
        self.note = Some(note);
        tidy(&dir, before, target.size());
        Ok(())
    }

    fn append(&mut self, view: &View, edge: &mut Edge, out: &mut Output<'_>) -> Result<(), StoreError> {
        loop {
            let rows = pending_from(view, edge.frontier.size(), STEP)?;
            if rows.is_empty() {
                return Ok(());
            }
            for (first, row) in rows {
                if first != edge.frontier.size() {
                    return Err(StoreError::Malformed { what: "the numbering of audit records" });
                }
                for salted in pending::decode(&row)? {
                    edge.append(&salted, &self.seals, &mut self.scratch, out)?;
                }
            }
        }
    }

    /// The first step notes how far the files reach, so that rows that a crash leaves behind are known as leftovers.
    fn hand_over(&mut self, store: &Store, view: &View) -> Result<(), StoreError> {
        let keys = view.keys_below(AUDIT_PENDING, &self.size().to_be_bytes(), usize::MAX)?;
        for step in keys.chunks(STEP) {
            let (step, exported) = (step.to_vec(), self.edge.frontier.encode());
            let written = store.write_blocking(move |tx| {
                tx.put_owned(AUDIT_STATE, b"exported", exported);
                step.iter().for_each(|key| tx.delete(AUDIT_PENDING, key));
                Ok::<_, StoreError>(())
            });
            written.map_err(|error| match error {
                WriteError::Refused(fault) | WriteError::Fault(fault) => fault,
            })?;
        }
        Ok(())
    }

    /// Replaces the record by a sealed note. The file keeps its name; the commitment in the entries stays.
    pub(crate) fn erase(&mut self, index: u64, why: &[u8]) -> Result<(), StoreError> {
        let size = self.size();
        if index >= size {
            return Err(AuditError::NotExported { index, size }.into());
        }
        let n = index / WIDTH;
        let piece = Piece { kind: Kind::Records, n, width: WIDTH.min(size - n * WIDTH) };
        let (path, bytes) = layout::read(&self.dir, piece)?;
        let frames = bundle::check_records(&bytes).map_err(|what| damaged(&path, what))?;
        let mut frames = bundle::split_frames(frames).ok_or_else(|| damaged(&path, "is cut off"))?;
        super::edge::cut(&mut frames, piece, &path)?;
        let mut out = Vec::with_capacity(bytes.len());
        for (at, frame) in (n * WIDTH..).zip(frames) {
            if at == index {
                bundle::seal_erased(&self.seals, &mut self.scratch, index, why, &mut out)?;
            } else {
                frame.copy(&mut out);
            }
        }
        let mut output = Output::new(&self.dir);
        // The key that seals the note may be younger than the last checkpoint.
        keys::publish(&mut output, &self.dir, &self.database, &self.seals)?;
        output.put(&piece.path(), &bundle::encode_records(&out))?;
        output.sync()?;
        layout::tidy(&self.dir, piece);
        if piece.width < WIDTH {
            self.edge.set_frames(out);
        }
        Ok(())
    }

    /// Exported or pending, as `view` sees it.
    pub(crate) fn records(
        dir: &Path,
        seals: &Arc<Seals>,
        view: &View,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Numbered>, StoreError> {
        let (exported, end) = (state(view, b"exported")?.size(), state(view, b"size")?.size());
        let end = end.min(from.saturating_add(limit as u64));
        let files = RecordFiles { dir: dir.into(), seals: Arc::clone(seals), size: exported };
        let mut out = files.range(from..end.min(exported), false).collect::<Result<Vec<_>, _>>()?;
        // A batch's row may begin before `from`.
        let first = from.max(exported);
        let start = view.scan(AUDIT_PENDING, Bound::Unbounded, Bound::Included(&first.to_be_bytes()), 1, true)?;
        let mut at = start.first().map_or(Ok(exported), |(key, _)| pending::index(key))?.max(exported);
        while at < end {
            let Some((_, row)) = pending_from(view, at, 1)?.pop() else { break };
            for salted in pending::decode(&row)? {
                if (first..end).contains(&at) {
                    out.push(Numbered { index: at, record: Some(salted.record) });
                }
                at += 1;
            }
        }
        Ok(out)
    }
}

fn state(view: &View, key: &[u8]) -> Result<Frontier, StoreError> {
    let Some(value) = view.get(AUDIT_STATE, key)? else { return Ok(Frontier::default()) };
    Frontier::decode(&value).ok_or(StoreError::Malformed { what: "the audit log's state" })
}

fn pending_from(view: &View, first: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let rows = view.scan(AUDIT_PENDING, Bound::Included(&first.to_be_bytes()), Bound::Unbounded, limit, false)?;
    rows.into_iter().map(|(key, row)| Ok((pending::index(&key)?, row))).collect()
}

fn publish_key(dir: &Path, signer: &Signer) -> Result<(), StoreError> {
    let (path, line) = (dir.join(KEY), signer.verifier().encode());
    match fs::read_to_string(&path) {
        Ok(found) if found == line => Ok(()),
        Ok(_) => Err(damaged(path, "names another key or another log than this key ring and configuration")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut out = Output::new(dir);
            out.put(Path::new(KEY), line.as_bytes())?;
            out.sync()
        }
        Err(e) => Err(StoreError::io("read", path)(e)),
    }
}

fn load(dir: &Path, signer: &Signer) -> Result<(Edge, Option<String>), StoreError> {
    let path = dir.join(CHECKPOINT);
    let note = match fs::read_to_string(&path) {
        Ok(note) => note,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Edge::default(), None)),
        Err(e) => return Err(StoreError::io("read", path)(e)),
    };
    let body = note::check(&note, signer.verifier()).map_err(|what| damaged(&path, what))?.body;
    let edge = Edge::load(dir, body.size)?;
    if edge.frontier.root() != body.root {
        return Err(damaged(dir.join("tile"), "does not have the root that the checkpoint signs"));
    }
    Ok((edge, Some(note)))
}

/// Walks from what was handed over to the database's newest leaf: files and database must be one history.
fn compare(
    dir: &Path,
    view: &View,
    files: &Frontier,
    exported: &Frontier,
    newest: &Frontier,
) -> Result<(), StoreError> {
    if files.size() < exported.size() {
        return Err(AuditError::Behind { dir: dir.into(), files: files.size(), exported: exported.size() }.into());
    }
    if files.size() > newest.size() {
        return Err(AuditError::Ahead { dir: dir.into(), files: files.size(), size: newest.size() }.into());
    }
    let mut walk = exported.clone();
    let mut met = walk == *files;
    loop {
        let rows = pending_from(view, walk.size(), STEP)?;
        if rows.is_empty() {
            break;
        }
        for (first, row) in rows {
            if first != walk.size() {
                return Err(StoreError::Malformed { what: "the numbering of audit records" });
            }
            for salted in pending::decode(&row)? {
                walk.push(merkle::leaf(&salted.entry()));
                met |= walk == *files;
            }
        }
    }
    if walk != *newest {
        return Err(StoreError::Malformed { what: "the audit log's state" });
    }
    if !met {
        return Err(damaged(dir, "is another history than the database's"));
    }
    Ok(())
}

/// Partial files of the old size that files of the new one supersede.
fn tidy(dir: &Path, before: u64, size: u64) {
    for kind in [Kind::Entries, Kind::Records].into_iter().chain((0..8).map(Kind::Tile)) {
        let Some(old) = layout::pieces(kind, before).last().filter(|p| p.width < WIDTH) else { continue };
        let new = layout::pieces(kind, size).nth(usize::try_from(old.n).unwrap_or(usize::MAX));
        new.into_iter().for_each(|piece| layout::tidy(dir, piece));
    }
}
