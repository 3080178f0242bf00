//! The cost of plans that Citus distributes. PostgreSQL's planner counts nothing for what the workers do.

use serde::Deserialize;

use super::{Plan, TopmostNode};

/// The total cost of the plan, with that of all its tasks on the workers; infinite if it is nested too deeply to be read.
pub(super) fn total_cost(json: &str) -> f64 {
    let plan: Result<[Plan<Node>; 1], _> = serde_json::from_str(json);
    plan.map_or(f64::INFINITY, |[plan]| plan.top.cost())
}

#[derive(Deserialize)]
struct Node {
    #[serde(rename = "Total Cost")]
    total_cost: f64,
    #[serde(rename = "Plans", default)]
    children: Vec<Node>,
    /// What Citus does for this node, whose own cost is 0.
    #[serde(rename = "Distributed Query")]
    query: Option<DistributedQuery>,
}

#[derive(Deserialize)]
struct DistributedQuery {
    #[serde(rename = "Job")]
    job: Option<Job>,
    #[serde(rename = "Subplans", default)]
    subplans: Vec<Subplan>,
}

#[derive(Deserialize)]
struct Subplan {
    #[serde(rename = "PlannedStmt")]
    plans: Vec<Plan<Node>>,
}

#[derive(Deserialize)]
struct Job {
    #[serde(rename = "Task Count")]
    task_count: u32,
    /// By default one of them.
    #[serde(rename = "Tasks", default)]
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(rename = "Remote Plan", default)]
    plans: Vec<Vec<Plan<TopmostNode>>>,
}

impl Node {
    fn cost(&self) -> f64 {
        self.total_cost + self.cost_of_queries()
    }

    /// The cost of the distributed queries of this node and of those below it.
    fn cost_of_queries(&self) -> f64 {
        let below: f64 = self.children.iter().map(Self::cost_of_queries).sum();
        let Some(DistributedQuery { job, subplans }) = &self.query else { return below };
        let subplans = subplans.iter().flat_map(|subplan| &subplan.plans).map(|plan| plan.top.cost());
        below + subplans.chain(job.iter().map(Job::cost)).sum::<f64>()
    }
}

impl Job {
    /// The task that is shown is taken for all.
    fn cost(&self) -> f64 {
        let plans = self.tasks.iter().flat_map(|task| &task.plans).flatten();
        f64::from(self.task_count) * plans.map(|plan| plan.top.total_cost).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Citus 13.0 prints this, without what is not read.
    #[test]
    fn the_cost_of_a_distributed_plan_is_that_of_all_tasks_and_subplans() {
        let json = r#"[{"Plan": {"Node Type": "Aggregate", "Total Cost": 502.5, "Plans": [{
            "Node Type": "Custom Scan", "Custom Plan Provider": "Citus Adaptive", "Total Cost": 0, "Distributed Query": {
                "Subplans": [{"PlannedStmt": [{"Plan": {"Node Type": "Limit", "Total Cost": 506, "Plans": [{
                    "Node Type": "Custom Scan", "Total Cost": 0, "Distributed Query": {"Job": {"Task Count": 2, "Tasks": [
                        {"Node": "host=a", "Remote Plan": [[{"Plan": {"Node Type": "Seq Scan", "Total Cost": 10}}]]}
                    ]}}
                }]}}]}],
                "Job": {"Task Count": 32, "Tasks Shown": "One of 32", "Tasks": [
                    {"Node": "host=a", "Remote Plan": [[{"Plan": {"Node Type": "Aggregate", "Total Cost": 100}}]]}
                ]}
            }
        }]}}]"#;
        let expected = 502.5 + 506.0 + 2.0 * 10.0 + 32.0 * 100.0;
        assert!((total_cost(json) - expected).abs() < 1e-6, "{}", total_cost(json));
    }

    #[test]
    fn a_plan_that_cannot_be_read_is_too_costly() {
        let deep = (0..200)
            .fold(r#""Total Cost": 0"#.to_owned(), |inner, _| format!(r#""Total Cost": 0, "Plans": [{{{inner}}}]"#));
        let json = format!(r#"[{{"Plan": {{{deep}}}}}]"#);
        assert!(total_cost(&json).is_infinite());
    }
}
