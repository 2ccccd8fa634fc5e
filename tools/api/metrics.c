// SPDX-License-Identifier: LGPL-2.1-or-later
/* The same numbers in Prometheus's text format, version 0.0.4. */
#include <stdio.h>
#include <stdlib.h>

#include "api.h"

/* Within quotes: "Text format details" in Prometheus's documentation. */
static void put_label(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", to);
		else if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else
			fputc(*text, to);
	}
	fputc('"', to);
}

static void put_head(FILE *to, const char *name, bool counter, const char *help)
{
	const char *total = counter ? "_total" : "";

	fprintf(to, "# HELP vmx_%s%s %s.\n# TYPE vmx_%s%s %s\n", name, total, help, name, total,
		counter ? "counter" : "gauge");
}

static void put_gauge(FILE *to, const char *name, const char *help, uint64_t value)
{
	put_head(to, name, false, help);
	fprintf(to, "vmx_%s %llu\n", name, (unsigned long long)value);
}

static void put_seconds(FILE *to, uint64_t ns)
{
	fprintf(to, " %llu.%09llu\n", (unsigned long long)ns / 1000000000,
		(unsigned long long)ns % 1000000000);
}

static void put_exits(FILE *to, const struct api_info *info)
{
	put_head(to, "exits", true, "VM exits by reason, and who handled them");
	for (unsigned int n = 0; n < VMX_STATS_REASONS; n++) {
		const struct api_exit *exit = &info->exits[n];

		if (!exit->reason || !(exit->monitor || exit->module))
			continue;
		fputs("vmx_exits_total{by=\"monitor\",reason=", to);
		put_label(to, exit->reason);
		fprintf(to, "} %llu\nvmx_exits_total{by=\"module\",reason=",
			(unsigned long long)exit->monitor);
		put_label(to, exit->reason);
		fprintf(to, "} %llu\n", (unsigned long long)exit->module);
	}
	put_head(to, "exit_seconds", true,
		 "Time from exits that the monitor handled until the guest ran again");
	for (unsigned int n = 0; n < VMX_STATS_REASONS; n++) {
		if (!info->exits[n].reason || !info->exits[n].monitor)
			continue;
		fputs("vmx_exit_seconds_total{reason=", to);
		put_label(to, info->exits[n].reason);
		fputc('}', to);
		put_seconds(to, info->exits[n].monitor_ns);
	}
}

static void put_cpus(FILE *to, const struct api_info *info)
{
	static const struct {
		const char *name;
		size_t at;
	} times[] = {
		{ "running", offsetof(struct api_cpu, running_ns) },
		{ "monitor", offsetof(struct api_cpu, monitor_ns) },
		{ "asleep", offsetof(struct api_cpu, asleep_ns) },
	};

	put_head(to, "vcpu_seconds", true, "What virtual CPUs did with their time");
	for (unsigned int n = 0; n < info->cpu_count; n++)
		for (size_t t = 0; t < sizeof(times) / sizeof(times[0]); t++) {
			const char *at = (const char *)&info->cpus[n] + times[t].at;

			fprintf(to, "vmx_vcpu_seconds_total{vcpu=\"%u\",state=\"%s\"}", n,
				times[t].name);
			put_seconds(to, *(const uint64_t *)at);
		}
}

static void put_devices(FILE *to, const struct api_info *info)
{
	put_head(to, "device", true, "Counters of devices");
	for (unsigned int n = 0; n < info->device_count; n++) {
		const struct api_device *device = &info->devices[n];

		for (unsigned int c = 0; c < API_COUNTERS && device->counters[c].name; c++) {
			fprintf(to, "vmx_device_total{kind=\"%s\",name=", device->kind);
			put_label(to, device->name);
			fprintf(to, ",counter=\"%s\"} %llu\n", device->counters[c].name,
				(unsigned long long)device->counters[c].value);
		}
	}
}

char *api_metrics(const struct api_info *info, size_t *length)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, length);

	if (!to)
		return NULL;
	put_gauge(to, "paused", "Whether the machine is paused", info->state == API_PAUSED);
	put_gauge(to, "memory_bytes", "RAM of the machine", info->memory);
	put_gauge(to, "vcpus", "Virtual CPUs of the machine", info->cpu_count);
	put_head(to, "restarts", true, "Times that the guest was reset");
	fprintf(to, "vmx_restarts_total %llu\n", (unsigned long long)info->restarts);
	put_exits(to, info);
	put_cpus(to, info);
	put_devices(to, info);
	for (size_t n = 0; n < api_figure_count; n++) {
		const struct api_figure *figure = &api_figures[n];

		put_head(to, figure->name, figure->counter, figure->help);
		fprintf(to, "vmx_%s%s %llu\n", figure->name, figure->counter ? "_total" : "",
			(unsigned long long)api_figure(info, figure));
	}
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}
