//! Who asks, as far as the request says.

/// Bytes of one thing that a caller says of itself; longer ones are cut.
const VALUE_BYTES_MAX: usize = 256;

/// What a request says of who asks. Nothing of it is proven.
///
/// Grafana sends the headers with queries of panels, not with look-ups of labels. Source: `tracing_header_middleware.go` of Grafana.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user: `X-Grafana-User`, or the user of a Postgres session.
    pub user: Option<Box<str>>,
    /// `User-Agent`, or what a Postgres session calls its application.
    pub user_agent: Option<Box<str>>,
    /// `X-Dashboard-Uid`.
    pub dashboard_uid: Option<Box<str>>,
    /// `X-Panel-Id`.
    pub panel_id: Option<Box<str>>,
    /// `X-Panel-Plugin-Id`: the kind of panel.
    pub panel_plugin_id: Option<Box<str>>,
    /// `X-Grafana-Org-Id`.
    pub grafana_org_id: Option<Box<str>>,
    /// `X-Datasource-Uid`.
    pub datasource_uid: Option<Box<str>>,
    /// `X-Query-Group-Id`: the same for the queries of one refresh.
    pub query_group_id: Option<Box<str>>,
    /// `X-Query-Tags`, as Loki's clients send it: `Source=grafana-lokiexplore-app`.
    pub query_tags: Option<Box<str>>,
}

/// By which way a query came, and who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The API or protocol, as in `prometheus`, `flight`.
    pub api: &'static str,
    /// Its endpoint or method, as in `query_range`.
    pub endpoint: &'static str,
    /// Who.
    pub caller: Caller,
}

impl Caller {
    /// Reads the headers of a request; `header` gives the value of one by its name in lower case.
    pub fn of_headers<'h>(header: impl Fn(&str) -> Option<&'h str>) -> Self {
        let value = |name| header(name).filter(|value| !value.is_empty()).map(bounded);
        Self {
            user: value("x-grafana-user"),
            user_agent: value("user-agent"),
            dashboard_uid: value("x-dashboard-uid"),
            panel_id: value("x-panel-id"),
            panel_plugin_id: value("x-panel-plugin-id"),
            grafana_org_id: value("x-grafana-org-id"),
            datasource_uid: value("x-datasource-uid"),
            query_group_id: value("x-query-group-id"),
            query_tags: value("x-query-tags"),
        }
    }

    /// A user and a program, for protocols without headers.
    pub fn of_session(user: &str, program: Option<&str>) -> Self {
        Self { user: Some(bounded(user)), user_agent: program.map(bounded), ..Self::default() }
    }
}

fn bounded(value: &str) -> Box<str> {
    value[..value.floor_char_boundary(VALUE_BYTES_MAX)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_grafana() {
        let long = "ü".repeat(VALUE_BYTES_MAX);
        let caller = Caller::of_headers(|name| match name {
            "x-dashboard-uid" => Some("d1"),
            "x-panel-id" => Some("7"),
            "x-grafana-user" => Some(""),
            "user-agent" => Some(&long),
            _ => None,
        });
        assert_eq!((caller.dashboard_uid.as_deref(), caller.panel_id.as_deref()), (Some("d1"), Some("7")));
        assert_eq!((caller.user, caller.grafana_org_id), (None, None));
        assert_eq!(caller.user_agent.map(|agent| agent.len()), Some(VALUE_BYTES_MAX));
    }
}
