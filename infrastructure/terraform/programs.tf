# The gateway, the catalogs and the name services.

resource "docker_container" "gateway" {
  name         = "${var.name}-gateway"
  image        = docker_image.program["gateway"].image_id
  restart      = "unless-stopped"
  read_only    = true
  memory       = var.memory_mib.gateway
  stop_timeout = local.stop_seconds
  stop_signal  = local.stop_signal
  log_driver   = local.log_driver
  log_opts     = local.log_opts
  wait         = true

  security_opts = ["no-new-privileges:true"]
  capabilities {
    drop = ["ALL"]
  }

  env = [
    "CATALOG_URL=http://service-catalog:5001",
    "GATEWAY_TLS_LISTEN=0.0.0.0:443",
    "GATEWAY_TLS_CERT=/run/secrets/tls.crt",
    "GATEWAY_TLS_KEY=/run/secrets/tls.key",
    "GATEWAY_HTTPS_REDIRECT=true",
    "LOG_FORMAT=json",
    "RUST_LOG=${var.log_level}",
  ]

  ports {
    internal = 80
    external = var.ports.http
  }
  ports {
    internal = 443
    external = var.ports.https
  }

  volumes {
    volume_name    = docker_volume.data["gateway"].name
    container_path = "/data"
  }
  dynamic "volumes" {
    for_each = toset(["tls.crt", "tls.key"])
    content {
      host_path      = "${var.secrets_dir}/${volumes.key}"
      container_path = "/run/secrets/${volumes.key}"
      read_only      = true
    }
  }

  networks_advanced {
    name    = docker_network.platform.name
    aliases = ["gateway"]
  }

  depends_on = [docker_container.service_catalog]
}

resource "docker_container" "service_catalog" {
  count        = var.replicas.service_catalog
  name         = "${var.name}-service-catalog-${count.index + 1}"
  image        = docker_image.program["service-catalog"].image_id
  restart      = "unless-stopped"
  read_only    = true
  memory       = var.memory_mib.service_catalog
  stop_timeout = local.stop_seconds
  stop_signal  = local.stop_signal
  log_driver   = local.log_driver
  log_opts     = local.log_opts
  wait         = true

  security_opts = ["no-new-privileges:true"]
  capabilities {
    drop = ["ALL"]
  }

  env = [
    "CATALOG_TOKEN_FILE=/run/secrets/catalog-token",
    "DATABASE_URL_FILE=/run/secrets/database-url",
    "REDIS_URL_FILE=/run/secrets/redis-url",
    "LOG_FORMAT=json",
    "RUST_LOG=${var.log_level}",
  ]

  # Everything that lasts is in PostgreSQL.
  tmpfs = { "/data" = "uid=10001,gid=10001,mode=0700" }

  dynamic "volumes" {
    for_each = toset(["catalog-token", "database-url", "redis-url"])
    content {
      host_path      = "${var.secrets_dir}/${volumes.key}"
      container_path = "/run/secrets/${volumes.key}"
      read_only      = true
    }
  }

  # The name stands for every replica.
  networks_advanced {
    name    = docker_network.platform.name
    aliases = ["service-catalog"]
  }

  depends_on = [docker_container.postgres, docker_container.redis]
}

resource "docker_container" "service_api" {
  count        = var.replicas.service_api
  name         = "${var.name}-service-api-${count.index + 1}"
  image        = docker_image.program["service-api"].image_id
  restart      = "unless-stopped"
  read_only    = true
  memory       = var.memory_mib.service_api
  stop_timeout = local.stop_seconds
  stop_signal  = local.stop_signal
  log_driver   = local.log_driver
  log_opts     = local.log_opts
  wait         = true

  security_opts = ["no-new-privileges:true"]
  capabilities {
    drop = ["ALL"]
  }

  env = [
    "CATALOG_URL=http://service-catalog:5001",
    "CATALOG_TOKEN_FILE=/run/secrets/catalog-token",
    "LOG_FORMAT=json",
    "RUST_LOG=${var.log_level}",
  ]

  volumes {
    host_path      = "${var.secrets_dir}/catalog-token"
    container_path = "/run/secrets/catalog-token"
    read_only      = true
  }

  networks_advanced {
    name    = docker_network.platform.name
    aliases = ["service-api"]
  }

  depends_on = [docker_container.service_catalog]
}
