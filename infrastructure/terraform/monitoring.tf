# Prometheus, which finds every replica by name, and Grafana with the dashboards of the repository.

resource "docker_container" "prometheus" {
  name       = "${var.name}-prometheus"
  image      = docker_image.other["prometheus"].image_id
  restart    = "unless-stopped"
  memory     = var.memory_mib.prometheus
  log_driver = local.log_driver
  log_opts   = local.log_opts

  command = [
    "--config.file=/etc/prometheus/prometheus.yml",
    "--storage.tsdb.path=/prometheus",
    "--storage.tsdb.retention.time=30d",
    "--storage.tsdb.retention.size=8GB",
  ]

  volumes {
    host_path      = "${local.monitoring}/prometheus"
    container_path = "/etc/prometheus"
    read_only      = true
  }
  volumes {
    volume_name    = docker_volume.data["prometheus"].name
    container_path = "/prometheus"
  }

  networks_advanced {
    name    = docker_network.platform.name
    aliases = ["prometheus"]
  }
}

resource "docker_container" "grafana" {
  name       = "${var.name}-grafana"
  image      = docker_image.other["grafana"].image_id
  restart    = "unless-stopped"
  memory     = var.memory_mib.grafana
  log_driver = local.log_driver
  log_opts   = local.log_opts

  env = [
    "GF_SECURITY_ADMIN_USER=admin",
    "GF_SECURITY_ADMIN_PASSWORD__FILE=/run/secrets/grafana-password",
    "GF_USERS_ALLOW_SIGN_UP=false",
    "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH=/etc/grafana/dashboards/service-overview.json",
    "GF_ANALYTICS_REPORTING_ENABLED=false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES=false",
  ]

  ports {
    internal = 3000
    external = var.ports.grafana
    ip       = var.monitoring_address
  }

  volumes {
    host_path      = "${local.monitoring}/grafana/provisioning"
    container_path = "/etc/grafana/provisioning"
    read_only      = true
  }
  volumes {
    host_path      = "${local.monitoring}/grafana/dashboards"
    container_path = "/etc/grafana/dashboards"
    read_only      = true
  }
  volumes {
    host_path      = "${var.secrets_dir}/grafana-password"
    container_path = "/run/secrets/grafana-password"
    read_only      = true
  }
  volumes {
    volume_name    = docker_volume.data["grafana"].name
    container_path = "/var/lib/grafana"
  }

  networks_advanced {
    name    = docker_network.platform.name
    aliases = ["grafana"]
  }

  depends_on = [docker_container.prometheus]
}
