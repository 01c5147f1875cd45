{{- define "trading-operator.labels" -}}
app.kubernetes.io/name: trading-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "trading-operator.selector" -}}
app.kubernetes.io/name: trading-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The namespaces to serve; one empty name = all. */}}
{{- define "trading-operator.namespaces" -}}
{{- if eq .Values.rbac.scope "namespace" -}}
{{- .Release.Namespace -}}
{{- else -}}
{{- join "," .Values.namespaces -}}
{{- end -}}
{{- end }}

{{- /* What the operator does with the objects of clusters: exactly that. */}}
{{- define "trading-operator.rules" -}}
- apiGroups: [hft.trading]
  resources: [tradingclusters]
  verbs: [list, watch]
- apiGroups: [hft.trading]
  resources: [symbolmoves]
  verbs: [list, watch, create, delete]
- apiGroups: [hft.trading]
  resources: [tradingclusters/status, symbolmoves/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# Made and kept, never deleted by us.
- apiGroups: [""]
  resources: [secrets, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch]
# Also what Patroni gets: nobody can grant what they do not hold.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [""]
  resources: [endpoints]
  verbs: [get, list, watch, create, patch, update]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
