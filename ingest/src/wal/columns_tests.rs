//! Any batch of any table survives the log bit for bit, and no bytes make the decoder panic.

use arrow::array::{ArrayData, make_array};
use arrow::datatypes::Field;
use proptest::prelude::*;

use super::*;

/// A table and a batch of it with arbitrary values, nulls where they are allowed, sometimes a slice of a larger one.
pub(crate) fn any_batch() -> impl Strategy<Value = (Table, RecordBatch)> {
    (0..Table::ALL.len(), 0_usize..40, any::<u64>(), any::<bool>()).prop_map(|(table, rows, seed, slice)| {
        let table = Table::ALL[table];
        let mut random = Random(seed);
        let fields = schema::rows(table);
        let total = if slice { rows + 13 } else { rows };
        let columns = fields.fields().iter().map(|field| random.column(field, total)).collect();
        let batch = RecordBatch::try_new(fields, columns).expect("columns made for the schema");
        (table, if slice { batch.slice(5, rows) } else { batch })
    })
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 29)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn text(&mut self) -> String {
        (0..self.below(12)).map(|_| ['a', 'ß', '€', '\0', '😀', 'z'][self.below(6) as usize]).collect()
    }

    fn nulls(&mut self, field: &Field, len: usize) -> Option<NullBuffer> {
        (field.is_nullable() && self.below(2) == 0).then(|| (0..len).map(|_| self.below(3) != 0).collect::<Vec<bool>>().into())
    }

    fn integer(&mut self) -> i64 {
        match self.below(4) {
            0 => self.next() as i64,
            1 => [i64::MIN, i64::MAX, 0, -1][self.below(4) as usize],
            _ => 1_700_000_000_000 + self.below(1000) as i64,
        }
    }

    fn offsets(&mut self, len: usize) -> OffsetBuffer<i32> {
        OffsetBuffer::from_lengths((0..len).map(|_| self.below(4) as usize).collect::<Vec<_>>())
    }

    fn column(&mut self, field: &Field, len: usize) -> ArrayRef {
        let nulls = self.nulls(field, len);
        match field.data_type() {
            DataType::Int8 => Arc::new(PrimitiveArray::<Int8Type>::new((0..len).map(|_| self.next() as i8).collect(), nulls)),
            DataType::Int32 => Arc::new(PrimitiveArray::<Int32Type>::new((0..len).map(|_| self.next() as i32).collect(), nulls)),
            DataType::Int64 | DataType::Timestamp(_, _) => {
                let values: ScalarBuffer<i64> = (0..len).map(|_| self.integer()).collect();
                let data = ArrayData::builder(field.data_type().clone()).len(len).add_buffer(values.into_inner()).nulls(nulls);
                make_array(data.build().expect("integers"))
            }
            DataType::Float64 => Arc::new(Float64Array::new((0..len).map(|_| f64::from_bits(self.next())).collect(), nulls)),
            DataType::Boolean => {
                let values: Vec<bool> = (0..len).map(|_| self.below(2) == 0).collect();
                Arc::new(BooleanArray::new(values.into(), nulls))
            }
            DataType::FixedSizeBinary(width) => {
                let bytes: Vec<u8> = (0..len * *width as usize).map(|_| self.next() as u8).collect();
                Arc::new(FixedSizeBinaryArray::new(*width, bytes.into(), nulls))
            }
            DataType::Utf8 => {
                let texts: Vec<String> = (0..len).map(|_| self.text()).collect();
                let (offsets, values, _) = StringArray::from_iter_values(texts).into_parts();
                Arc::new(StringArray::new(offsets, values, nulls))
            }
            DataType::Dictionary(_, _) => {
                let size = 1 + self.below(60) as usize;
                let values = StringArray::from_iter_values((0..size).map(|_| self.text()));
                let keys = PrimitiveArray::<Int32Type>::new((0..len).map(|_| self.below(size as u64) as i32).collect(), nulls);
                Arc::new(DictionaryArray::new(keys, Arc::new(values)))
            }
            DataType::List(child) => {
                let offsets = self.offsets(len);
                let values = self.column(child, offsets[len] as usize);
                Arc::new(ListArray::new(Arc::clone(child), offsets, values, nulls))
            }
            DataType::Map(entries, ordered) => {
                let offsets = self.offsets(len);
                let values = self.column(entries, offsets[len] as usize);
                Arc::new(MapArray::new(Arc::clone(entries), offsets, values.as_struct().clone(), nulls, *ordered))
            }
            DataType::Struct(fields) => {
                let children = fields.iter().map(|f| self.column(f, len)).collect();
                Arc::new(StructArray::new(fields.clone(), children, nulls))
            }
            other => panic!("no random {other}"),
        }
    }
}

/// Equal as Arrow compares, floats by their bits.
fn same_bits(a: &RecordBatch, b: &RecordBatch) -> bool {
    let mut bytes = [Vec::new(), Vec::new()];
    for (batch, out) in [a, b].into_iter().zip(&mut bytes) {
        for column in batch.columns() {
            put_column(out, column).expect("a batch of the house");
        }
    }
    bytes[0] == bytes[1] && a.schema() == b.schema() && a.num_rows() == b.num_rows()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_batch_round_trips((table, batch) in any_batch()) {
        let mut bytes = Vec::new();
        encode(table, &batch, &mut bytes).expect("a batch of the house");
        let mut cursor = Cursor { rest: &bytes };
        let back = decode(table, &mut cursor).expect("what was encoded decodes");
        prop_assert!(cursor.rest.is_empty());
        prop_assert!(same_bits(&batch, &back) || batch == back, "{batch:?}\n{back:?}");
    }

    #[test]
    fn damage_never_panics((table, batch) in any_batch(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = Vec::new();
        encode(table, &batch, &mut bytes).expect("a batch of the house");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(table, &mut Cursor { rest: &bytes });
        bytes.truncate(cut.index(bytes.len()));
        let _ = decode(table, &mut Cursor { rest: &bytes });
    }
}

#[test]
fn missing_new_columns_are_null() {
    let mut random = Random(1);
    let fields = schema::rows(Table::Samples);
    let columns: Vec<ArrayRef> = fields.fields().iter().map(|f| random.column(f, 3)).collect();
    let mut bytes = Vec::new();
    put_varint(&mut bytes, 3);
    put_varint(&mut bytes, 4); // as if `start_ts` had been added later
    columns[..4].iter().for_each(|c| put_column(&mut bytes, c).expect("a column of the house"));
    let batch = decode(Table::Samples, &mut Cursor { rest: &bytes }).expect("an older record decodes");
    assert_eq!(batch.column(4).null_count(), 3);
    assert_eq!(batch.column(1), &columns[1]);
}

#[test]
fn lengths_beyond_the_bytes_do_not_allocate() {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, i32::MAX as u64);
    put_varint(&mut bytes, 5);
    bytes.extend([0, DIFFERENCES, 1, 2, 3]);
    assert!(decode(Table::Samples, &mut Cursor { rest: &bytes }).is_err());
}
