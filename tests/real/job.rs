//! The Job that tests of pods run.

/// A Job of one pod, with the label `app: shop`: fields of its spec and of its container `main`, and the
/// latter's script.
pub(crate) fn job(spec: &str, script: &str, more: &str) -> String {
    let fields = spec.trim().replace('\n', "\n      ");
    let more = more.trim().replace('\n', "\n        ");
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec:\n  backoffLimit: 0\n  \
         template:\n    metadata: {{labels: {{app: shop}}}}\n    spec:\n      restartPolicy: Never\n      \
         {fields}\n      containers:\n      - name: main\n        image: luksa/batch-job\n        \
         imagePullPolicy: IfNotPresent\n        {more}\n        command: [sh, -c, {}]\n",
        serde_json::to_string(script).unwrap()
    )
}
