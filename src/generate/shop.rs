//! The shop: its services, what calls what, and small helpers to say it in OTLP.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// A service of the shop.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) language: &'static str,
    /// Operations it answers: HTTP method and route.
    pub(super) operations: &'static [(&'static str, &'static str)],
    /// Indexes of the services it calls.
    pub(super) calls: &'static [usize],
}

/// Calls only go to later entries, so every trace ends.
pub(super) const SERVICES: [Service; 8] = [
    Service {
        name: "frontend",
        language: "nodejs",
        operations: &[("GET", "/"), ("GET", "/product/{id}"), ("POST", "/checkout")],
        calls: &[1, 2, 3],
    },
    Service { name: "checkout", language: "go", operations: &[("POST", "/checkout.v1/PlaceOrder")], calls: &[3, 4, 5, 6] },
    Service { name: "recommendation", language: "python", operations: &[("GET", "/recommendations")], calls: &[7] },
    Service {
        name: "cart",
        language: "dotnet",
        operations: &[("GET", "/cart"), ("POST", "/cart"), ("DELETE", "/cart")],
        calls: &[],
    },
    Service { name: "payment", language: "java", operations: &[("POST", "/payment.v1/Charge")], calls: &[] },
    Service {
        name: "shipping",
        language: "rust",
        operations: &[("POST", "/shipping/quote"), ("POST", "/shipping/order")],
        calls: &[],
    },
    Service { name: "email", language: "ruby", operations: &[("POST", "/send_order_confirmation")], calls: &[] },
    Service {
        name: "product-catalog",
        language: "go",
        operations: &[("GET", "/products"), ("GET", "/products/{id}")],
        calls: &[],
    },
];

pub(super) fn text(value: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.into())) }
}

pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

pub(super) fn text_attribute(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

pub(super) fn int_attribute(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

/// The resource of one instance.
pub(super) fn resource(service: &Service, instance: usize) -> Resource {
    let attributes = vec![
        text_attribute("service.name", service.name),
        text_attribute("service.namespace", "shop"),
        text_attribute("service.instance.id", &format!("{}-{instance}", service.name)),
        text_attribute("service.version", "2.4.1"),
        text_attribute("telemetry.sdk.language", service.language),
        text_attribute("host.name", &format!("node-{:03}", instance % 100)),
        text_attribute("k8s.namespace.name", "shop"),
        text_attribute("k8s.pod.name", &format!("{}-7c9d8f6b5-{instance:05}", service.name)),
        text_attribute("cloud.region", ["eu-central-1", "us-east-1", "ap-south-1"][instance % 3]),
    ];
    Resource { attributes, ..Default::default() }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "telelake.generate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Default::default()
    }
}
