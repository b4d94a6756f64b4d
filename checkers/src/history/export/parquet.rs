//! [`write_parquet`]: the operations of a history as a table in a Parquet file (feature `parquet`, `dsfuzz export --format parquet`),
//! for notebooks and databases. One row for each operation, in the order of the calls. Faults, roles and notes are not in it.
//!
//! `call` and `reply` are indices of records. `node` is the node that answered, `bound_node` the node that the client is bound to.
//! Keys and values are JSON texts. A cell is null where the value is nil or no reply came.
//!
//! A new column needs a line in `SCHEMA` and an arm in `number` or `text`.
use crate::history::{History, NameId, Op, Outcome};
use crate::value::ValueRef;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnDescriptor;
use std::io::{self, Write};
use std::sync::Arc;

const SCHEMA: &str = "message history {
    required int64 call;
    optional int64 reply;
    required int64 call_time_ns;
    optional int64 reply_time_ns;
    required int64 worker;
    required int64 process;
    required int64 session;
    required binary node (UTF8);
    required binary workload (UTF8);
    required binary function (UTF8);
    optional binary key (JSON);
    optional binary input (JSON);
    required binary outcome (UTF8);
    optional binary output (JSON);
    optional binary error (UTF8);
    required boolean settle;
    required binary bound_node (UTF8);
}";
/// Rows of a row group: that many are in memory at once.
const GROUP_ROWS: usize = 100_000;

/// Writes the operations of a history as a Parquet file.
///
/// # Errors
/// When writing fails.
pub fn write_parquet(history: &History, writer: impl Write + Send) -> io::Result<()> {
    write_table(history, writer).map_err(io::Error::other)
}

fn write_table(history: &History, writer: impl Write + Send) -> Result<(), ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut file = SerializedFileWriter::new(writer, schema, Arc::new(WriterProperties::builder().build()))?;
    let ops = history.ops();
    for from in (0..ops.len()).step_by(GROUP_ROWS) {
        let rows: Vec<Op<'_>> = ops.skip(from).iter().take(GROUP_ROWS).collect();
        let mut group = file.next_row_group()?;
        while let Some(mut column) = group.next_column()? {
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(writer) => {
                    let descriptor = writer.get_descriptor().clone();
                    let (values, levels) = cells_of(rows.iter().map(|op| number(op, descriptor.name())));
                    writer.write_batch(&values, optional(&descriptor).then_some(&levels[..]), None)?;
                }
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    let descriptor = writer.get_descriptor().clone();
                    let (values, levels) = cells_of(rows.iter().map(|op| text(history, op, descriptor.name())));
                    writer.write_batch(&values, optional(&descriptor).then_some(&levels[..]), None)?;
                }
                // The only column of this type is `settle`.
                ColumnWriter::BoolColumnWriter(writer) => {
                    let values: Vec<bool> = rows.iter().map(|op| op.settle).collect();
                    writer.write_batch(&values, None, None)?;
                }
                _ => return Err(ParquetError::General("the schema has no other types".to_owned())),
            }
            column.close()?;
        }
        group.close()?;
    }
    file.close()?;
    Ok(())
}

/// The values of the cells that are not null, and for every row its definition level: 1, or 0 where the cell is null.
fn cells_of<T>(cells: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    (values, levels)
}

/// Whether the schema allows nulls in a column.
fn optional(column: &ColumnDescriptor) -> bool {
    column.max_def_level() > 0
}

/// The cell of an operation in a column of integers.
fn number(op: &Op<'_>, column: &str) -> Option<i64> {
    let number = match column {
        "call" => op.call,
        "reply" => Some(op.reply).filter(|reply| *reply != Op::OPEN)?,
        "call_time_ns" => op.call_time,
        "reply_time_ns" => Some(op.reply_time).filter(|time| *time != Op::OPEN)?,
        "worker" => u64::from(op.worker),
        "process" => op.process,
        "session" => u64::from(op.session),
        _ => return None,
    };
    Some(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The cell of an operation in a column of texts.
fn text(history: &History, op: &Op<'_>, column: &str) -> Option<ByteArray> {
    let name = |id: NameId| Some(ByteArray::from(history.name(id)));
    let json = |value: ValueRef<'_>| {
        let text = (!value.is_nil()).then(|| serde_json::to_vec(&value).ok())??;
        Some(ByteArray::from(text))
    };
    match column {
        "node" => name(op.node),
        "bound_node" => name(history.bound_node(op)),
        "workload" => name(op.workload),
        "function" => name(op.function),
        "error" => name(op.error?),
        "key" => json(op.key),
        "input" => json(op.input),
        "output" => json(op.completion_value),
        "outcome" => Some(ByteArray::from(match op.outcome {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::history;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, RowAccessor};

    #[test]
    fn rows_are_the_operations() {
        let history = history(
            r#"{"type":"invoke","process":0,"f":"write","key":"x","value":[1,"a"]}
               {"type":"ok","process":0}
               {"type":"invoke","process":0,"f":"read","key":"x","settle":true}
               {"type":"invoke","process":1,"f":"read","key":"x"}
               {"type":"info","process":1,"error":"timeout"}
               {"type":"ok","process":0,"value":[1,"a"]}"#,
        );
        let mut file = Vec::new();
        write_parquet(&history, &mut file).expect("written to memory");
        let reader = SerializedFileReader::new(bytes::Bytes::from(file)).expect("a Parquet file");
        let rows: Vec<_> = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), 3);
        let shown: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.get_column_iter().map(|(_, field): (_, &Field)| field.to_string()).collect())
            .collect();
        assert_eq!(rows[0].get_long(0).expect("the call"), 0);
        assert_eq!(rows[1].get_long(1).expect("the reply"), 5);
        assert_eq!(rows[2].get_string(12).expect("the outcome"), "info");
        let wanted = "0 1 0 1000000 0 0 0 \"n1\" \"register\" \"write\" \"\\\"x\\\"\" \"[1,\\\"a\\\"]\" \"ok\" null null false \"n1\"";
        assert_eq!(shown[0].join(" ").replace("\\\"", "\""), wanted.replace("\\\"", "\""));
        assert!(rows[1].get_bool(15).expect("settle"));
        assert_eq!(rows[2].get_string(14).expect("the error"), "timeout");
    }
}
