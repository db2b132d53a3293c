// The namespace and the queues of topology.json.
//
// requiresSession, requiresDuplicateDetection and partitions are fixed when a queue or namespace is made:
// to change one, add a queue under a new name and drain the old.
param unique string
param location string
param tags object
param queues array
param premium bool
param messagingUnits int
param messagingPartitions int
param private bool
param workspaceId string

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: 'sbns-${unique}'
  location: location
  tags: tags
  sku: premium ? { name: 'Premium', tier: 'Premium', capacity: messagingUnits * messagingPartitions } : { name: 'Standard', tier: 'Standard' }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    // Zones need no switch: namespaces span them wherever the region has them.
    premiumMessagingPartitions: premium ? messagingPartitions : null
  }
}

resource network 'Microsoft.ServiceBus/namespaces/networkRuleSets@2024-01-01' = if (private) {
  parent: namespace
  name: 'default'
  properties: {
    defaultAction: 'Deny'
    publicNetworkAccess: 'Disabled'
    // Event Grid, which tells of new blobs in the inbox.
    trustedServiceAccessEnabled: true
  }
}

// One after the other: a namespace refuses to be changed by many at once.
@batchSize(1)
resource all 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = [for queue in queues: {
  parent: namespace
  name: queue.name
  properties: {
    requiresSession: queue.requiresSession
    requiresDuplicateDetection: queue.requiresDuplicateDetection
    duplicateDetectionHistoryTimeWindow: queue.duplicateDetectionHistoryTimeWindow
    lockDuration: queue.lockDuration
    maxDeliveryCount: queue.maxDeliveryCount
    defaultMessageTimeToLive: queue.defaultMessageTimeToLive
    deadLetteringOnMessageExpiration: queue.deadLetteringOnMessageExpiration
    maxSizeInMegabytes: 5120
  }
}]

// The one preview version: no stable one knows categoryGroup.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: namespace
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output id string = namespace.id
output name string = namespace.name
// The host without scheme and port, as the SDKs want it.
output host string = split(replace(namespace.properties.serviceBusEndpoint, 'https://', ''), ':')[0]
