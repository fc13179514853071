//! The functions of templates: one table, a family per file.
//!
//! A function says what it takes; a value of another type is an error before it runs, as Go's compiler of calls has it. A constant
//! number fits `int` and `float64` alike.

mod codec;
mod number;
mod regex;
mod text;
mod time;

pub(super) use codec::query_escape;

use std::borrow::Cow;

use super::builtins;
use super::value::Value;
use super::{Data, RegexCache};

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    Any,
    Text,
    Int,
    Float,
    Time,
}

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    params: &'static [Param],
    /// The type of any number of further arguments.
    more: Option<Param>,
    pub(super) run: for<'c, 'a, 'r> fn(&'c mut Call<'a, 'r>) -> Result<Value<'a>, String>,
}

/// A call with arguments of the types that the function takes.
pub(super) struct Call<'a, 'r> {
    pub(super) arguments: Vec<Value<'a>>,
    pub(super) data: Data<'a>,
    pub(super) regexes: &'r mut RegexCache,
}

impl<'a> Call<'a, '_> {
    /// An argument of type [`Param::Text`].
    pub(super) fn bytes(&self, at: usize) -> &[u8] {
        match self.arguments.get(at) {
            Some(Value::Text(text)) => text,
            _ => &[],
        }
    }

    /// The same as characters; a byte that makes none is the replacement.
    pub(super) fn str(&self, at: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(at))
    }

    pub(super) fn int(&self, at: usize) -> i64 {
        match self.arguments.get(at) {
            Some(Value::Int(n) | Value::Int64(n)) => *n,
            _ => 0,
        }
    }

    /// An argument of any type, taken out.
    pub(super) fn take(&mut self, at: usize) -> Value<'a> {
        self.arguments.get_mut(at).map_or(Value::Nil, |value| std::mem::replace(value, Value::Nil))
    }
}

impl Function {
    /// Whether the function takes so many arguments.
    pub(super) fn check_count(&self, count: usize) -> Result<(), String> {
        let (least, name) = (self.params.len(), self.name);
        if self.more.is_some() && count < least {
            return Err(format!("wrong number of args for {name}: want at least {least} got {count}"));
        }
        if self.more.is_none() && count != least {
            return Err(format!("wrong number of args for {name}: want {least} got {count}"));
        }
        Ok(())
    }

    /// The value as the argument at a place.
    pub(super) fn accept<'a>(&self, at: usize, value: Value<'a>, is_constant: bool) -> Result<Value<'a>, String> {
        let Some(param) = self.params.get(at).copied().or(self.more) else { return Ok(value) };
        let expected = match (param, &value) {
            (Param::Any, _) | (Param::Text, Value::Text(_)) | (Param::Int, Value::Int(_)) => return Ok(value),
            (Param::Float, Value::Float(_)) | (Param::Time, Value::Time(_)) => return Ok(value),
            (Param::Float, Value::Int(n)) if is_constant => return Ok(Value::Float(*n as f64)),
            (Param::Int, Value::Float(f)) if is_constant && f.fract() == 0.0 && f.abs() < 9e18 => {
                return Ok(Value::Int(*f as i64));
            }
            (Param::Int, Value::Float(_)) if is_constant => return Err("expected integer; found a float".to_owned()),
            (Param::Text, _) => "string",
            (Param::Int, _) => "int",
            (Param::Float, _) => "float64",
            (Param::Time, _) => "time.Time",
        };
        match value {
            Value::Nil => Err(format!("invalid value; expected {expected}")),
            _ => Err(format!("wrong type for value; expected {expected}; got {}", value.type_name())),
        }
    }
}

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    TABLE.iter().find(|function| function.name == name)
}

const fn fixed(
    name: &'static str,
    params: &'static [Param],
    run: for<'c, 'a, 'r> fn(&'c mut Call<'a, 'r>) -> Result<Value<'a>, String>,
) -> Function {
    Function { name, params, more: None, run }
}

const fn variadic(
    name: &'static str,
    params: &'static [Param],
    more: Param,
    run: for<'c, 'a, 'r> fn(&'c mut Call<'a, 'r>) -> Result<Value<'a>, String>,
) -> Function {
    Function { name, params, more: Some(more), run }
}

use Param::{Any, Float, Int, Text, Time};

static TABLE: &[Function] = &[
    // Loki's own
    fixed("__line__", &[], |call| Ok(Value::Text(Cow::Borrowed(call.data.line.as_bytes())))),
    fixed("__timestamp__", &[], time::timestamp),
    fixed("ToLower", &[Text], text::lower),
    fixed("ToUpper", &[Text], text::upper),
    fixed("Replace", &[Text, Text, Text, Int], text::replace_some),
    fixed("Trim", &[Text, Text], |call| text::trim_of(call, 0, 1, text::Ends::Both)),
    fixed("TrimLeft", &[Text, Text], |call| text::trim_of(call, 0, 1, text::Ends::Left)),
    fixed("TrimRight", &[Text, Text], |call| text::trim_of(call, 0, 1, text::Ends::Right)),
    fixed("TrimPrefix", &[Text, Text], |call| text::trim_prefix(call, 0, 1)),
    fixed("TrimSuffix", &[Text, Text], |call| text::trim_suffix(call, 0, 1)),
    fixed("TrimSpace", &[Text], text::trim),
    fixed("regexReplaceAll", &[Text, Text, Text], regex::replace_all),
    fixed("regexReplaceAllLiteral", &[Text, Text, Text], regex::replace_all_literal),
    fixed("count", &[Text, Text], regex::count),
    fixed("urldecode", &[Text], codec::urldecode),
    fixed("urlencode", &[Text], codec::urlencode),
    fixed("bytes", &[Text], number::bytes),
    fixed("duration", &[Text], number::duration),
    fixed("duration_seconds", &[Text], number::duration),
    fixed("unixEpochMillis", &[Time], time::unix_epoch_millis),
    fixed("unixEpochNanos", &[Time], time::unix_epoch_nanos),
    fixed("toDateInZone", &[Text, Text, Text], time::to_date_in_zone),
    fixed("unixToTime", &[Text], time::unix_to_time),
    fixed("alignLeft", &[Int, Text], text::align_left),
    fixed("alignRight", &[Int, Text], text::align_right),
    fixed("b64enc", &[Text], codec::b64enc),
    fixed("b64dec", &[Text], codec::b64dec),
    // of sprig
    fixed("lower", &[Text], text::lower),
    fixed("upper", &[Text], text::upper),
    fixed("title", &[Text], text::title),
    fixed("trunc", &[Int, Text], text::trunc),
    fixed("substr", &[Int, Int, Text], text::substr),
    fixed("contains", &[Text, Text], text::contains),
    fixed("hasPrefix", &[Text, Text], |call| Ok(Value::Bool(call.bytes(1).starts_with(call.bytes(0))))),
    fixed("hasSuffix", &[Text, Text], |call| Ok(Value::Bool(call.bytes(1).ends_with(call.bytes(0))))),
    fixed("indent", &[Int, Text], text::indent),
    fixed("nindent", &[Int, Text], text::nindent),
    fixed("replace", &[Text, Text, Text], text::replace),
    fixed("repeat", &[Int, Text], text::repeat),
    fixed("trim", &[Text], text::trim),
    fixed("trimAll", &[Text, Text], |call| text::trim_of(call, 1, 0, text::Ends::Both)),
    fixed("trimSuffix", &[Text, Text], |call| text::trim_suffix(call, 1, 0)),
    fixed("trimPrefix", &[Text, Text], |call| text::trim_prefix(call, 1, 0)),
    fixed("int", &[Any], number::int),
    fixed("float64", &[Any], number::float64),
    variadic("add", &[], Any, number::add),
    fixed("sub", &[Any, Any], number::sub),
    variadic("mul", &[Any], Any, number::mul),
    fixed("div", &[Any, Any], number::div),
    fixed("mod", &[Any, Any], number::modulo),
    variadic("addf", &[], Any, number::addf),
    variadic("subf", &[Any], Any, number::subf),
    variadic("mulf", &[Any], Any, number::mulf),
    variadic("divf", &[Any], Any, number::divf),
    variadic("max", &[Any], Any, number::max),
    variadic("min", &[Any], Any, number::min),
    variadic("maxf", &[Any], Any, number::maxf),
    variadic("minf", &[Any], Any, number::minf),
    fixed("ceil", &[Any], number::ceil),
    fixed("floor", &[Any], number::floor),
    variadic("round", &[Any, Int], Float, number::round),
    fixed("fromJson", &[Text], codec::from_json),
    fixed("date", &[Text, Any], time::date),
    fixed("toDate", &[Text, Text], time::to_date),
    fixed("now", &[], time::now),
    fixed("unixEpoch", &[Time], time::unix_epoch),
    variadic("default", &[Any], Any, number::default),
    // of Go
    variadic("and", &[Any], Any, builtins::last),
    variadic("or", &[Any], Any, builtins::last),
    fixed("not", &[Any], builtins::not),
    variadic("eq", &[Any], Any, builtins::eq),
    fixed("ne", &[Any, Any], builtins::ne),
    fixed("lt", &[Any, Any], builtins::lt),
    fixed("le", &[Any, Any], builtins::le),
    fixed("gt", &[Any, Any], builtins::gt),
    fixed("ge", &[Any, Any], builtins::ge),
    fixed("len", &[Any], builtins::len),
    variadic("index", &[Any], Any, builtins::index),
    variadic("slice", &[Any], Any, builtins::slice),
    variadic("call", &[Any], Any, |_| Err("call of what is no function".to_owned())),
    variadic("print", &[], Any, builtins::print),
    variadic("println", &[], Any, builtins::println),
    variadic("printf", &[Text], Any, builtins::printf),
    variadic("html", &[], Any, builtins::html),
    variadic("js", &[], Any, builtins::js),
    variadic("urlquery", &[], Any, builtins::urlquery),
];
