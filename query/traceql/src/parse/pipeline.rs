//! Pipelines: stages between `|`, from one end of the text or of a parenthesis to the other.

use super::field::Level;
use super::parser::{Parser, Result, Tall};
use super::term::Term;
use super::token::Kind;
use crate::ast::{FieldExpr, Metrics, Pipeline, Query, Root, Scalar, Spansets, Stage};
use crate::value::Value;

/// What stands between parentheses, or between the ends of the text.
enum Body {
    Spansets(Tall<Box<Spansets>>),
    /// Pipelines in parentheses, combined.
    Pipelines(Tall<Box<Spansets>>),
    Pipeline(Tall<Vec<Stage>>),
    Scalar(Tall<Box<Scalar>>),
    Metrics(Tall<Box<Metrics>>),
}

impl Parser {
    /// The whole text as a query.
    pub(super) fn query(mut self) -> Result<Query> {
        let root = match self.body()? {
            Body::Spansets(spansets) => Root::Search(Pipeline { stages: vec![Stage::Spansets(*spansets.tree)] }),
            Body::Pipelines(spansets) => Root::Search(match *spansets.tree {
                Spansets::Pipeline(pipeline) => pipeline,
                combined => Pipeline { stages: vec![Stage::Spansets(combined)] },
            }),
            Body::Pipeline(stages) => Root::Search(Pipeline { stages: stages.tree }),
            Body::Metrics(metrics) => Root::Metrics(*metrics.tree),
            Body::Scalar(_) => return Err(self.unexpected(&[])),
        };
        let hints = self.hints()?;
        match self.peek() {
            Kind::End => Ok(Query { root, hints }),
            _ => Err(self.unexpected(&["with"])),
        }
    }

    /// Everything up to a token that goes on with nothing.
    fn body(&mut self) -> Result<Body> {
        let mut stages = Tall { tree: Vec::new(), height: 1 };
        if matches!(self.word(), Some("by" | "select")) {
            self.stage(&mut stages.tree)?;
        } else {
            match self.term(Level::Logic)? {
                Term::Scalar(scalar) => return Ok(Body::Scalar(scalar)),
                Term::Pipelines(spansets) => return Ok(Body::Pipelines(spansets)),
                Term::Metrics(metrics) => return self.second_stages(metrics).map(Body::Metrics),
                term => self.push(&mut stages, term),
            }
        }
        while self.eat("|") {
            if matches!(self.word(), Some("by" | "select" | "coalesce")) {
                self.stage(&mut stages.tree)?;
                continue;
            }
            if let Some(function) = self.metrics_function()? {
                let height = self.pipeline_above(&[stages.height])?;
                let of = Metrics::Of { pipeline: Pipeline { stages: stages.tree }, function };
                return self.second_stages(Tall { tree: Box::new(of), height }).map(Body::Metrics);
            }
            let at = self.mark();
            match self.term(Level::Logic)? {
                Term::Scalar(scalar) => return self.number_of(stages, scalar),
                Term::Pipelines(_) | Term::Metrics(_) => return Err(self.unexpected_at(at, &[])),
                term => self.push(&mut stages, term),
            }
        }
        let Tall { tree: mut stages, height } = stages;
        Ok(match stages.pop() {
            Some(Stage::Spansets(spansets)) if stages.is_empty() => Body::Spansets(Tall { tree: Box::new(spansets), height }),
            last => {
                stages.extend(last);
                Body::Pipeline(Tall { tree: stages, height })
            }
        })
    }

    /// Adds spansets, or a filter and before it the groups that its aggregates were written with.
    fn push(&mut self, stages: &mut Tall<Vec<Stage>>, term: Term) {
        let (stage, height) = match term {
            Term::Spansets { of, .. } | Term::Pipelines(of) => (Stage::Spansets(*of.tree), of.height),
            Term::Filter(filter) => {
                stages.tree.extend(std::mem::take(&mut self.groups).into_iter().map(Stage::By));
                (Stage::Scalar(*filter.tree), filter.height)
            }
            Term::Scalar(_) | Term::Metrics(_) => return,
        };
        stages.height = stages.height.max(height);
        stages.tree.push(stage);
    }

    /// A pipeline that ends in a number, which only a parenthesis around it can be.
    fn number_of(&mut self, mut stages: Tall<Vec<Stage>>, scalar: Tall<Box<Scalar>>) -> Result<Body> {
        if self.symbol() != Some(")") {
            return Err(self.unexpected(&[]));
        }
        stages.tree.extend(std::mem::take(&mut self.groups).into_iter().map(Stage::By));
        let height = self.pipeline_above(&[stages.height, scalar.height])?;
        let tree = Scalar::Pipeline(Pipeline { stages: stages.tree }, scalar.tree);
        Ok(Body::Scalar(Tall { tree: Box::new(tree), height }))
    }

    /// `by(expr)`, `select(field, ...)` or `coalesce()`.
    fn stage(&mut self, stages: &mut Vec<Stage>) -> Result<()> {
        let word = self.word();
        self.advance();
        stages.push(match word {
            Some("by") => {
                self.expect("(", &["("])?;
                let expr = self.field_expr()?;
                self.expect(")", &[])?;
                Stage::By(expr.tree)
            }
            Some("select") => Stage::Select(self.fields()?),
            _ => {
                self.expect("(", &["("])?;
                self.expect(")", &[")"])?;
                Stage::Coalesce
            }
        });
        Ok(())
    }

    /// `{ expr }`, where nothing is `true`.
    pub(super) fn filter(&mut self) -> Result<FieldExpr> {
        self.expect("{", &["{"])?;
        if self.eat("}") {
            return Ok(FieldExpr::Literal(Value::Bool(true)));
        }
        let expr = self.field_expr()?;
        self.expect("}", &[])?;
        Ok(expr.tree)
    }

    /// What stands in parentheses, as the operand that it is.
    pub(super) fn parenthesis(&mut self) -> Result<Term> {
        self.advance();
        let body = self.body()?;
        self.expect(")", &[])?;
        Ok(match body {
            Body::Spansets(of) => Term::Spansets { of, parenthesised: true },
            Body::Pipelines(of) => Term::Pipelines(of),
            Body::Pipeline(stages) => {
                let height = self.pipeline_above(&[stages.height])?;
                Term::Pipelines(Tall { tree: Box::new(Spansets::Pipeline(Pipeline { stages: stages.tree })), height })
            }
            Body::Scalar(scalar) => Term::Scalar(scalar),
            Body::Metrics(metrics) => Term::Metrics(metrics),
        })
    }
}
