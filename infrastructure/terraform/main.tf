# What the containers share.

locals {
  monitoring = coalesce(var.monitoring_dir, abspath("${path.module}/../../monitoring"))

  # What every program of ours is started with: nothing that it could change but its data, and no rights.
  stop_seconds = 20
  stop_signal  = "SIGTERM"

  log_driver = "json-file"
  log_opts   = { "max-size" = "50m", "max-file" = "5" }

  programs = toset(["gateway", "service-catalog", "service-api"])
}

resource "docker_network" "platform" {
  name   = var.name
  driver = "bridge"
}

resource "docker_image" "program" {
  for_each     = local.programs
  name         = "${var.image_prefix}/${each.key}:${var.image_tag}"
  keep_locally = true
}

resource "docker_image" "other" {
  for_each     = var.images
  name         = each.value
  keep_locally = true
}

resource "docker_volume" "data" {
  for_each = toset(["gateway", "postgres", "redis", "prometheus", "grafana"])
  name     = "${var.name}-${each.key}"

  lifecycle {
    # The database is in one of them.
    prevent_destroy = true
  }
}
