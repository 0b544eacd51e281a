# Needs no provider, so the real terraform plans and applies it without a network.
variable "color" {
  type    = string
  default = "none"
}

resource "terraform_data" "motd" {
  input = "message of the day in ${var.color}, ${timestamp()}"
}
