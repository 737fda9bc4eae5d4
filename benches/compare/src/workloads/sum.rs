//! Workload 10: RustDb's own figure, a table of 8,192 rows `('Alice', 1000)` whose second column is summed 1,000 times.
//!
//! It has two: by its query language, and by direct access to the table. SQLite answers in its language; the maps, which have none, hold a row in each value and are scanned. RustDb and
//! SQLite have the table in memory, as in RustDb's own measurement (`bench.rs`); the maps have it in a file.

use super::Workload;
use crate::context::{Context, expect_equal, timed};
use crate::engine::{Durability, Engine, Kind, Reader, View};
use crate::metric::Metric;
use anyhow::{Result, ensure};
use rusqlite::Connection;
use rustdb::{BuiltinMap, Database, GenTransaction, MemFile, SharedPagedData, standard_builtins};
use std::sync::Arc;

const QUERY: Metric = Metric::nanoseconds("sum.query", "sum over 8,192 rows, by a query language");
const DIRECT: Metric = Metric::nanoseconds("sum.direct", "sum over 8,192 rows, by direct access");
pub(super) const METRICS: &[Metric] = &[QUERY, DIRECT];

/// Who can take part.
pub(super) const ENGINES: &[Kind] =
    &[Kind::Pentimento, Kind::Lmdb, Kind::Redb, Kind::Canopydb, Kind::Fjall, Kind::Sqlite, Kind::Rustdb];

const ROWS: u64 = 8_192;
const TIMES: u64 = 1_000;
const NUMBER: i64 = 1_000;
const TOTAL: u64 = 8_192_000;

/// One turn.
pub(super) fn run(context: &mut Context<'_>) -> Result<()> {
    context.say(DIRECT.title);
    match context.kind {
        Kind::Rustdb => rustdb(context),
        Kind::Sqlite => sqlite(context),
        _ => super::dispatch::<Sum>(context),
    }
}

/// Times something that gives the total, in nanoseconds.
fn measure(mut total: impl FnMut() -> Result<u64>) -> Result<f64> {
    expect_equal("the total", total()?, TOTAL)?;
    let (seconds, sum) = timed(|| (0..TIMES).try_fold(0, |sum, _| Ok(sum + total()?)))?;
    expect_equal("the sum of the totals", sum, TOTAL * TIMES)?;
    Ok(seconds * 1e9 / TIMES as f64)
}

struct Sum;

impl Workload for Sum {
    fn run<E: Engine>(context: &mut Context<'_>) -> Result<()> {
        let row = [b"Alice".as_slice(), &NUMBER.to_le_bytes()].concat();
        let keys: Vec<[u8; 8]> = (0..ROWS).map(u64::to_be_bytes).collect();
        let engine = E::open(context.dir, &context.setup(row.len()))?;
        engine.put_all(keys.iter().map(|key| (key.as_slice(), row.as_slice())), Durability::Durable)?;
        {
            let view = engine.view()?;
            let reader = view.reader()?;
            let nanoseconds = measure(|| {
                let mut total = 0i64;
                reader.forward(&[], usize::MAX, |_, row| {
                    total += row.last_chunk().map_or(0, |number| i64::from_le_bytes(*number));
                })?;
                Ok(total as u64)
            })?;
            context.record(&DIRECT, nanoseconds);
        }
        engine.close()
    }
}

fn sqlite(context: &mut Context<'_>) -> Result<()> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, age INTEGER)")?;
    for _ in 0..ROWS {
        connection.prepare_cached("INSERT INTO users (name, age) VALUES ('Alice', ?1)")?.execute([NUMBER])?;
    }
    let mut query = connection.prepare("SELECT SUM(age) FROM users")?;
    let nanoseconds = measure(|| Ok(query.query_row([], |row| row.get::<_, i64>(0))? as u64))?;
    context.record(&QUERY, nanoseconds);
    Ok(())
}

fn rustdb(context: &mut Context<'_>) -> Result<()> {
    let mut builtins = BuiltinMap::default();
    standard_builtins(&mut builtins);
    let db = Database::new(SharedPagedData::new(MemFile::new()).new_writer(), "", Arc::new(builtins));
    let run = |sql: &str| {
        let mut txn = GenTransaction::default();
        db.run(sql, &mut txn);
        txn.rp.output
    };
    run("CREATE SCHEMA test GO CREATE TABLE test.users (name string, age int) GO");
    run(&format!(
        "DECLARE @i int SET @i = {ROWS} WHILE @i > 0 BEGIN \
         INSERT INTO test.users(name, age) VALUES ('Alice', {NUMBER}) SET @i -= 1 END"
    ));
    let nanoseconds = measure(|| {
        let answer = run("DECLARE @total int FOR @total += age FROM test.users BEGIN END SELECT ''|@total");
        let answer = std::str::from_utf8(&answer)?;
        ensure!(!answer.is_empty(), "rustdb gave no answer");
        Ok(answer.parse()?)
    })?;
    context.record(&QUERY, nanoseconds);
    let nanoseconds = measure(|| {
        let table = db.table("test", "users");
        let mut total = 0;
        for (page, at) in table.scan(&db) {
            total += table.access(&page.borrow(), at).int(1);
        }
        Ok(total as u64)
    })?;
    context.record(&DIRECT, nanoseconds);
    Ok(())
}
