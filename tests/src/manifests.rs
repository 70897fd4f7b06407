//! Rendered manifests as data: what a chart says, looked up as Kubernetes would.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};
use xtask::chart::{Chart, charts};

/// All objects of a rendered stream, without empty documents.
///
/// # Panics
/// When it is not YAML.
#[must_use]
pub fn parse(text: &str) -> Vec<Value> {
    let documents = Yaml::load_from_str(text).expect("what is rendered is YAML");
    documents.iter().map(value).filter(|object| !object.is_null()).collect()
}

#[expect(clippy::panic, reason = "a test on manifests with tags or anchors has failed")]
fn value(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(b)) => json!(b),
        Yaml::Value(Scalar::Integer(i)) => json!(i),
        Yaml::Value(Scalar::FloatingPoint(f)) => json!(f.into_inner()),
        Yaml::Value(Scalar::String(s)) => json!(s),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, inner) in entries {
                let name = match value(key) {
                    Value::String(name) => name,
                    other => other.to_string(),
                };
                map.insert(name, value(inner));
            }
            Value::Object(map)
        }
        other => panic!("manifests hold plain YAML, not {other:?}"),
    }
}

/// The object of a kind and a name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let fits = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let found = objects.iter().find(fits);
    assert!(found.is_some(), "no {kind} {name} is rendered");
    found.unwrap_or(&Value::Null)
}

/// A pod as the Deployment's controller would make it.
#[must_use]
pub fn pod_of(deployment: &Value) -> Value {
    let template = &deployment["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    metadata["name"] =
        json!(format!("{}-0", deployment["metadata"]["name"].as_str().unwrap_or("pod")));
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// All containers of a pod, init containers first.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |key: &str| pod["spec"][key].as_array().into_iter().flatten();
    of("initContainers").chain(of("containers"))
}

/// The container's port that a port of a Service leads to; a name is looked up in the pod, in all its
/// containers, as the endpoints' controller does. None = it leads nowhere.
#[must_use]
pub fn target_port(service: &Value, port: u64, pod: &Value) -> Option<u16> {
    let selector = service["spec"]["selector"].as_object()?;
    if !selector.iter().all(|(key, value)| &pod["metadata"]["labels"][key] == value) {
        return None;
    }
    let ports = service["spec"]["ports"].as_array()?;
    let target = &ports.iter().find(|p| p["port"] == port)?["targetPort"];
    let number = match target {
        Value::String(name) => {
            let mut all = containers(pod).filter_map(|c| c["ports"].as_array()).flatten();
            all.find(|p| p["name"] == name.as_str())?["containerPort"].as_u64()
        }
        number => number.as_u64(),
    };
    u16::try_from(number?).ok()
}

/// Our chart and the examples that depend on it; None where helm is absent.
///
/// # Panics
/// When a dependency cannot be resolved.
#[must_use]
pub fn all_charts() -> Option<Vec<Chart>> {
    let helm = crate::parts::require("helm")?;
    Some(charts(&helm).expect("the charts can be copied and their dependencies packed"))
}

/// The chart whose folder has this name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn chart<'a>(charts: &'a [Chart], name: &str) -> &'a Chart {
    charts.iter().find(|chart| chart.folder().ends_with(name)).expect("the chart is there")
}

/// What a chart renders with one of its `ci/NAME-values.yaml`.
///
/// # Panics
/// When it does not render.
#[must_use]
pub fn rendered(chart: &Chart, name: &str, sets: &[&str]) -> String {
    let values = chart.folder().join(format!("ci/{name}-values.yaml"));
    chart.render(&values, sets).expect("the chart renders its example")
}
