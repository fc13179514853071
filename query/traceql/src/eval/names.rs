//! What fields are called in answers, as Tempo calls them.

use crate::ast::{Field, FieldExpr, FieldName, Intrinsic, Scope, Spelling};

/// The field as the label of a series: `span.x`, `.x`, `resource.service.name`, `kind`.
pub fn field_label(field: &Field) -> String {
    let parent = if field.parent { "parent." } else { "" };
    match &field.name {
        FieldName::Attribute(scope, name) => {
            let dot = if *scope == Scope::Any && field.parent { "" } else { scope_prefix(*scope) };
            format!("{parent}{dot}{name}")
        }
        FieldName::Intrinsic(intrinsic, _) => format!("{parent}{}", intrinsic_name(*intrinsic)),
    }
}

/// The field as an attribute of a span that is returned: without its scope.
pub fn field_name(name: &FieldName) -> &str {
    match name {
        FieldName::Attribute(_, name) => name,
        FieldName::Intrinsic(intrinsic, _) => intrinsic_name(*intrinsic),
    }
}

fn scope_prefix(scope: Scope) -> &'static str {
    match scope {
        Scope::Any => ".",
        Scope::Span => "span.",
        Scope::Resource => "resource.",
        Scope::Event => "event.",
        Scope::Link => "link.",
        Scope::Instrumentation => "instrumentation.",
    }
}

/// The name that Tempo gives an intrinsic however it was written.
fn intrinsic_name(intrinsic: Intrinsic) -> &'static str {
    match intrinsic {
        Intrinsic::Name => "name",
        Intrinsic::Duration => "duration",
        Intrinsic::Kind => "kind",
        Intrinsic::Status => "status",
        Intrinsic::StatusMessage => "statusMessage",
        Intrinsic::SpanId => "span:id",
        Intrinsic::ParentId => "span:parentID",
        Intrinsic::ChildCount => "span:childCount",
        Intrinsic::Parent => "parent",
        Intrinsic::NestedSetLeft => "nestedSetLeft",
        Intrinsic::NestedSetRight => "nestedSetRight",
        Intrinsic::NestedSetParent => "nestedSetParent",
        Intrinsic::TraceDuration => "traceDuration",
        Intrinsic::RootName => "rootName",
        Intrinsic::RootService => "rootServiceName",
        Intrinsic::TraceId => "trace:id",
        Intrinsic::EventName => "event:name",
        Intrinsic::EventTimeSinceStart => "event:timeSinceStart",
        Intrinsic::LinkTraceId => "link:traceID",
        Intrinsic::LinkSpanId => "link:spanID",
        Intrinsic::InstrumentationName => "instrumentation:name",
        Intrinsic::InstrumentationVersion => "instrumentation:version",
    }
}

/// The text of an expression as part of the name of a group or an aggregate: intrinsics as Tempo spells them.
pub(super) fn expression(expr: &FieldExpr) -> String {
    as_printed(expr).to_string()
}

fn as_printed(expr: &FieldExpr) -> FieldExpr {
    match expr {
        FieldExpr::Literal(value) => FieldExpr::Literal(value.clone()),
        FieldExpr::Field(field) => FieldExpr::Field(Field { parent: field.parent, name: legacy(&field.name) }),
        FieldExpr::Negate(inner) => FieldExpr::Negate(Box::new(as_printed(inner))),
        FieldExpr::Not(inner) => FieldExpr::Not(Box::new(as_printed(inner))),
        FieldExpr::Binary { op, left, right } => {
            FieldExpr::Binary { op: *op, left: Box::new(as_printed(left)), right: Box::new(as_printed(right)) }
        }
    }
}

/// Of intrinsics with two spellings the older one.
fn legacy(name: &FieldName) -> FieldName {
    match name {
        FieldName::Intrinsic(
            intrinsic @ (Intrinsic::Name
            | Intrinsic::Duration
            | Intrinsic::Kind
            | Intrinsic::Status
            | Intrinsic::StatusMessage
            | Intrinsic::TraceDuration
            | Intrinsic::RootName
            | Intrinsic::RootService),
            _,
        ) => FieldName::Intrinsic(*intrinsic, Spelling::Legacy),
        other => other.clone(),
    }
}
