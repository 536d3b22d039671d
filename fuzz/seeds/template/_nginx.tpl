{{- define "nginx.conf" -}}
{{- $port := .Values.port | default 80 }}
upstream app { server {{ include "app.fullname" . }}:{{ $port }}; }
server {
  listen {{ $port }};
  {{- with .Values.extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- range $path, $up := .Values.routes }}
  location {{ $path }} {
    proxy_pass http://{{ $up }};
    {{- if and .stream (not .off) }}
    proxy_buffering off;
    {{- else if .x }}
    proxy_read_timeout {{ .t | quote }};
    {{- end }}
  }
  {{- end }}
}
{{- end -}}
{{ define "b" }}proxy_buffering on;{{ end }}
