# SPDX-License-Identifier: LGPL-2.1-or-later
# Bash completes commands, options and names of machines for vmxctl.

_vmxctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} command="" at folder path

	for ((at = 1; at < COMP_CWORD; at++)); do
		[[ ${COMP_WORDS[at]} == -* || ${COMP_WORDS[at - 1]} == @(--timeout|--bandwidth|--downtime|--tls-creds|--tls-hostname) ]] && continue
		command=${COMP_WORDS[at]}
		break
	done
	COMPREPLY=()
	if [[ $word == -* ]]; then
		case $command in
		list | info | stats) COMPREPLY=($(compgen -W "--json" -- "$word")) ;;
		migration) COMPREPLY=($(compgen -W "--json" -- "$word")) ;;
		migrate) COMPREPLY=($(compgen -W "--bandwidth --compress --downtime --json --throttle --tls-creds --tls-hostname" -- "$word")) ;;
		resume) COMPREPLY=($(compgen -W "--here" -- "$word")) ;;
		stop) COMPREPLY=($(compgen -W "--now --timeout" -- "$word")) ;;
		"") COMPREPLY=($(compgen -W "--help --version" -- "$word")) ;;
		esac
	elif [[ -z $command ]]; then
		COMPREPLY=($(compgen -W "list info stats pause resume stop pin snapshot migrate migration cancel" -- "$word"))
	elif [[ $command != list ]]; then
		folder=${XDG_RUNTIME_DIR:-/run}/vmx
		for path in "$folder"/*.sock; do
			path=${path##*/}
			[[ -e $folder/$path && ${path%.sock} == "$word"* ]] && COMPREPLY+=("${path%.sock}")
		done
	fi
}

complete -F _vmxctl vmxctl
