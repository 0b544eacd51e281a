#!/bin/bash
# A look-alike of terraform for machines without it: no state, no providers, one made-up resource.
bold=$'\033[1m' green=$'\033[32m' plain=$'\033[0m'
echo "[look-alike: terraform is not installed here] terraform $*" >&2
destroy=
for word in "$@"; do
    [ "$word" = -destroy ] && destroy=yes
done
case $1 in
    init)
        echo "${bold}Preparing the folder${plain}"
        echo "${bold}${green}Terraform has been initialized${plain}"
        ;;
    workspace)
        echo "Workspace \"${!#}\" is in use."
        ;;
    plan)
        sleep 0.3
        if [ -f no_changes ]; then
            echo "No changes. Nothing differs from the configuration."
        elif [ -n "$destroy" ]; then
            printf '  # terraform_data.motd will be destroyed\n  - resource "terraform_data" "motd" {}\n\n'
            echo "Plan: 0 to add, 0 to change, 1 to destroy."
        else
            printf '  # terraform_data.motd will be created\n  + resource "terraform_data" "motd" {\n'
            printf '      + input = "message of the day"\n    }\n\n'
            echo "Plan: 1 to add, 0 to change, 0 to destroy."
        fi
        sleep 0.1
        ;;
    apply)
        echo "terraform_data.motd: working..."
        sleep 0.5
        echo "${bold}${green}Apply complete! One resource changed.${plain}"
        sleep 0.1
        ;;
    *)
        echo "unknown command: $1" >&2
        exit 1
        ;;
esac
