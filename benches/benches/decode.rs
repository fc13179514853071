//! Requests to rows: the converters against prost's decoding alone, which is what a decoder into messages would start with.

mod inputs;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::inputs::{Converters, ITEMS, Kind};

fn prost_decode(kind: Kind, body: &[u8]) {
    let known = "a well-formed request";
    match kind {
        Kind::Metrics => drop(black_box(ExportMetricsServiceRequest::decode(body).expect(known))),
        Kind::Logs => drop(black_box(ExportLogsServiceRequest::decode(body).expect(known))),
        Kind::Spans => drop(black_box(ExportTraceServiceRequest::decode(body).expect(known))),
    }
}

fn main() {
    let mut criterion = Criterion::default().sample_size(30).configure_from_args();
    for (kind, name) in Kind::ALL {
        let body = kind.body(3);
        let mut group = criterion.benchmark_group(format!("decode/{name}"));
        group.throughput(Throughput::Elements(ITEMS as u64));
        let converters = Converters::new();
        group.bench_function("convert, known", |b| b.iter(|| black_box(converters.convert(kind, &body))));
        group.bench_function("convert, new", |b| {
            b.iter_with_large_drop(|| {
                let converters = Converters::new();
                let converted = converters.convert(kind, &body);
                (converters, converted)
            });
        });
        group.bench_function("prost", |b| b.iter(|| prost_decode(kind, &body)));
        group.finish();
    }
    criterion.final_summary();
}
