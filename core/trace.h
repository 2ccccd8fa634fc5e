/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vmx

#if !defined(VMM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VMM_TRACE_H

#include <linux/tracepoint.h>

/* A VM entry is about to be made. */
TRACE_EVENT(entry,
	TP_PROTO(u16 vpid, u32 inject_info),
	TP_ARGS(vpid, inject_info),
	TP_STRUCT__entry(
		__field(u16, vpid)
		__field(u32, inject_info)
	),
	TP_fast_assign(
		__entry->vpid = vpid;
		__entry->inject_info = inject_info;
	),
	TP_printk("vpid %u inject %08x", __entry->vpid, __entry->inject_info)
);

/* A VM exit happened, whoever finishes it. */
TRACE_EVENT(exit,
	TP_PROTO(u16 vpid, u32 reason, u64 rip, u64 qualification),
	TP_ARGS(vpid, reason, rip, qualification),
	TP_STRUCT__entry(
		__field(u16, vpid)
		__field(u32, reason)
		__field(u64, rip)
		__field(u64, qualification)
	),
	TP_fast_assign(
		__entry->vpid = vpid;
		__entry->reason = reason;
		__entry->rip = rip;
		__entry->qualification = qualification;
	),
	TP_printk("vpid %u reason %x rip %llx qualification %llx",
		  __entry->vpid, __entry->reason, __entry->rip,
		  __entry->qualification)
);

/* An EPT violation was looked at; result is an enum gphys_fault or an errno. */
TRACE_EVENT(fault,
	TP_PROTO(u16 vpid, u64 gpa, u64 qualification, int result),
	TP_ARGS(vpid, gpa, qualification, result),
	TP_STRUCT__entry(
		__field(u16, vpid)
		__field(u64, gpa)
		__field(u64, qualification)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->vpid = vpid;
		__entry->gpa = gpa;
		__entry->qualification = qualification;
		__entry->result = result;
	),
	TP_printk("vpid %u gpa %llx qualification %llx result %d",
		  __entry->vpid, __entry->gpa, __entry->qualification,
		  __entry->result)
);

/* An event goes into the VM-entry fields. */
TRACE_EVENT(inject,
	TP_PROTO(u16 vpid, u32 info, u32 error),
	TP_ARGS(vpid, info, error),
	TP_STRUCT__entry(
		__field(u16, vpid)
		__field(u32, info)
		__field(u32, error)
	),
	TP_fast_assign(
		__entry->vpid = vpid;
		__entry->info = info;
		__entry->error = error;
	),
	TP_printk("vpid %u info %08x error %x", __entry->vpid, __entry->info,
		  __entry->error)
);

#endif /* VMM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
