output "http_port" {
  description = "Port of the engine's machine that leads to HTTPS."
  value       = var.ports.http
}

output "https_port" {
  description = "Port of the engine's machine where clients connect."
  value       = var.ports.https
}

output "grafana" {
  description = "Where the dashboards are; the user is admin, the password is in the secret grafana-password."
  value       = "http://${var.monitoring_address}:${var.ports.grafana}/"
}

output "images" {
  description = "What runs, by digest."
  value       = { for name, image in merge(docker_image.program, docker_image.other) : name => image.repo_digest }
}

output "containers" {
  description = "Names of the containers of the programs, for docker logs."
  value = concat(
    [docker_container.gateway.name],
    docker_container.service_catalog[*].name,
    docker_container.service_api[*].name,
  )
}
