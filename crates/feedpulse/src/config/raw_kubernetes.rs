//! The part of the configuration file about the own namespace of a Kubernetes cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The own namespace of a Kubernetes cluster: its rollouts, and programs that are killed or stopped,
/// become change markers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawKubernetes {
    /// Whether it is watched: the service account needs a role that may list ReplicaSets, Pods and
    /// Events, see docs/incidents.md. Default false.
    pub watch: bool,
    /// The API server. Default `https://kubernetes.default.svc`.
    pub api: Option<String>,
    /// The namespace. Default: the pod's own.
    pub namespace: Option<String>,
    /// File with the token, read again each time. Default: the pod's service account's.
    pub token_file: Option<String>,
    /// PEM file with the authority of the API server. Default: the pod's service account's.
    pub ca_file: Option<String>,
    /// Pause between two looks, such as `30s` (default).
    pub every: Option<String>,
}
