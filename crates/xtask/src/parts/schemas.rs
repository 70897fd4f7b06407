//! Turns Kubernetes' OpenAPI 2 description into strict JSON schemas for kubeconform.
//!
//! kubeconform asks for one file a kind (`deployment-apps-v1.json`); each of ours refers to one
//! shared file of definitions. Strict means that an unknown key is an error, which is what finds a
//! misspelt key in a chart.

use crate::error::{Error, Result};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

const DEFINITIONS: &str = "_definitions.json";

/// The values that may be written as a number or as text in YAML.
const NUMBER_OR_TEXT: [&str; 2] = [
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
];

/// Writes the shared definitions and one schema for each kind of each group and version.
pub(super) fn write_all(openapi: &str, folder: &Path) -> Result<()> {
    let spec: Value = serde_json::from_str(openapi)
        .map_err(|e| Error::Data(format!("the API description is not JSON: {e}")))?;
    let definitions = spec["definitions"]
        .as_object()
        .ok_or_else(|| Error::Data("the API description has no `definitions`".to_owned()))?;
    fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
    let mut shared = Map::new();
    for (name, definition) in definitions {
        shared.insert(name.clone(), converted(name, definition));
        for file in files_of(definition) {
            let schema = json!({ "$ref": format!("{DEFINITIONS}#/definitions/{name}") });
            save(&folder.join(file), &schema)?;
        }
    }
    save(&folder.join(DEFINITIONS), &json!({ "definitions": shared }))
}

fn save(path: &Path, schema: &Value) -> Result<()> {
    fs::write(path, schema.to_string()).map_err(|e| Error::io("write", path, &e))
}

/// The file names under which kubeconform looks for a definition: `kind-group-version.json`, with
/// the first label of the group only, and no group for the core one.
fn files_of(definition: &Value) -> Vec<String> {
    let kinds = definition["x-kubernetes-group-version-kind"].as_array();
    let name = |gvk: &Value| {
        let kind = gvk["kind"].as_str()?.to_lowercase();
        let version = gvk["version"].as_str()?.to_lowercase();
        match gvk["group"].as_str()?.split('.').next().unwrap_or_default() {
            "" => Some(format!("{kind}-{version}.json")),
            group => Some(format!("{kind}-{group}-{version}.json")),
        }
    };
    kinds.into_iter().flatten().filter_map(name).collect()
}

fn converted(name: &str, definition: &Value) -> Value {
    if NUMBER_OR_TEXT.contains(&name) {
        return json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] });
    }
    let mut schema = strict(definition);
    // The kind and its version must say what the file name says.
    if let [gvk] = definition["x-kubernetes-group-version-kind"].as_array().map_or(&[][..], |v| v) {
        let (group, version) = (gvk["group"].as_str(), gvk["version"].as_str().unwrap_or_default());
        let api = match group {
            Some(group) if !group.is_empty() => format!("{group}/{version}"),
            _ => version.to_owned(),
        };
        if let Some(p) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            p.insert("kind".to_owned(), json!({ "enum": [gvk["kind"]] }));
            p.insert("apiVersion".to_owned(), json!({ "enum": [api] }));
        }
    }
    schema
}

/// Keeps what a validator uses, drops the prose, closes every object that names its keys, and
/// allows null for every property, as the API server does.
fn strict(schema: &Value) -> Value {
    let Some(object) = schema.as_object() else { return schema.clone() };
    let mut out = Map::new();
    for (key, value) in object {
        match key.as_str() {
            "$ref" => {
                let target = value.as_str().unwrap_or_default();
                out.insert(key.clone(), json!(target)); // Within the shared file.
            }
            "type" | "required" | "enum" => {
                out.insert(key.clone(), value.clone());
            }
            "items" | "additionalProperties" => {
                out.insert(key.clone(), strict(value));
            }
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let open =
                    properties.map(|(name, p)| (name.clone(), nullable(&strict(p)))).collect();
                out.insert(key.clone(), Value::Object(open));
            }
            _ => {}
        }
    }
    if out.contains_key("properties") && !out.contains_key("additionalProperties") {
        out.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(out)
}

fn nullable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = r##"{"definitions":{
        "a.Pod":{"description":"prose","type":"object","required":["spec"],"properties":{
            "apiVersion":{"type":"string"},"kind":{"type":"string"},
            "spec":{"description":"prose","$ref":"#/definitions/a.Spec"}},
            "x-kubernetes-group-version-kind":[{"group":"","kind":"Pod","version":"v1"}]},
        "a.Spec":{"type":"object","properties":{"labels":{"type":"object",
            "additionalProperties":{"type":"string"}}}},
        "io.k8s.apimachinery.pkg.api.resource.Quantity":{"type":"string"}}}"##;

    fn read(path: &Path) -> Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn kinds_refer_to_closed_definitions() {
        let dir = tempfile::tempdir().unwrap();
        write_all(SPEC, dir.path()).unwrap();
        let pod = read(&dir.path().join("pod-v1.json"));
        assert_eq!(pod, json!({ "$ref": "_definitions.json#/definitions/a.Pod" }));
        let shared = read(&dir.path().join(DEFINITIONS));
        let pod = &shared["definitions"]["a.Pod"];
        assert_eq!(pod["additionalProperties"], json!(false));
        assert_eq!(pod["required"], json!(["spec"]));
        assert_eq!(pod["properties"]["apiVersion"], json!({ "enum": ["v1"] }));
        assert!(pod.get("description").is_none());
        let labels = &shared["definitions"]["a.Spec"]["properties"]["labels"]["anyOf"][0];
        assert_eq!(labels["additionalProperties"], json!({ "type": "string" }));
        let quantity = &shared["definitions"][NUMBER_OR_TEXT[1]];
        assert_eq!(quantity["oneOf"][1], json!({ "type": "number" }));
    }

    #[test]
    fn a_group_is_named_by_its_first_label() {
        let of = |group: &str| {
            files_of(&json!({ "x-kubernetes-group-version-kind":
                [{ "group": group, "kind": "NetworkPolicy", "version": "v1" }] }))
        };
        assert_eq!(of("networking.k8s.io"), ["networkpolicy-networking-v1.json"]);
        assert_eq!(of(""), ["networkpolicy-v1.json"]);
    }

    #[test]
    fn a_description_without_definitions_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(write_all("{}", dir.path()).unwrap_err().code(), 65);
        assert_eq!(write_all("nonsense", dir.path()).unwrap_err().code(), 65);
    }
}
